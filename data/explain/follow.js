// follow.js: where a number comes from: the products and sums that made it, of numbers that can be followed in turn, back to
// the token's embedding. Neither the document nor anything outside the arguments is touched.
//
// A cell is {of, layer, head, row, col}, in an address "of.layer.head.row.col"; `of` is one of
//     embedding, hidden     what enters the first norm (BERT), each layer, and what leaves the last one; row: the token
//     norm1, norm2          layer norm; in GPT-2 before attention and before the MLP, in BERT after attention
//     q, k, v               col: the channel, of all heads
//     score, attn           of a head; row: the query, col: the key
//     context, projection   what the heads give, side by side; what attention adds
//     middle                hidden + projection
//     fc, act, mlp          inside the MLP before and after the activation; what the MLP adds
//     stream                what the last norm of GPT-2 reads
'use strict';

function textOfCell(cell) {
    return `${cell.of}.${cell.layer}.${cell.head}.${cell.row}.${cell.col}`;
}

// {value(cell), explain(cell), cellOf(text): null where there is no such cell, sizes(of): [rows, columns]} of a trace.
//
// explain gives {name, text: what is computed, columns, rows: lists of {text, cell} and texts, results: [[label, number]],
// value: computed here, traced: the trace's, null where it has none, missing: whether weights are}.
function followedModel(trace) {
    const m = attentionModules(trace), config = configOfTrace(trace), T = needTensor(trace, 'tokens').shape[1], C = needTensor(trace, 'hidden.0').shape[2];
    const H = needTensor(trace, 'attentions.0').shape[1], D = C / H, ids = needTensor(trace, 'tokens').data, labels = tokenLabels(trace), gpt2 = m.causal;
    const model = {...m, trace, T, C, H, D, ids, labels, gpt2, eps: config.layer_norm_epsilon ?? config.layer_norm_eps ?? 1e-5, activation: config.activation_function ?? config.hidden_act ?? 'gelu_new',
        firstPosition: m.family === 'roberta' ? (config.pad_token_id ?? 1) + 1 : 0, divisor: layer => divisorOfLayer(config, layer, D)};
    const quantities = quantitiesOf(model);
    model.value = cell => quantities[cell.of].value(cell);
    model.explain = cell => quantities[cell.of].explain(cell);
    model.sizes = of => quantities[of].size ?? [T, C];
    model.cellOf = text => {
        const parts = /^([a-z]+\d?)\.(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text), [layer, head, row, col] = parts ? parts.slice(2).map(Number) : [];
        const known = parts && Object.hasOwn(quantities, parts[1]) && quantities[parts[1]].has(layer) && head < H;
        return known && row < model.sizes(parts[1])[0] && col < model.sizes(parts[1])[1] ? {of: parts[1], layer, head, row, col} : null;
    };
    return model;
}

// ---- kinds of explanation ---------------------------------------------------------------------------------------

const shownCell = (model, cell, name) => ({text: `${name} = ${formatNumber(model.value(cell), 6)}`, cell});

// sum over i of a[i] b[i], then bias and division. left(i), right(i): a cell, or {name, value} of a parameter, null where the
// trace has no weights.
function explainProducts(model, o) {
    const rows = [], missing = o.right(0) === null;
    let sum = 0;
    const side = x => x === null ? ['-', NaN] : x.cell ? [shownCell(model, x.cell, x.name), model.value(x.cell)] : [`${x.name} = ${formatNumber(x.value, 6)}`, x.value];
    for (let i = 0; i < o.count; i++) {
        const [a, x] = side(o.left(i)), [b, y] = side(o.right(i));
        sum += x * y;
        rows.push([String(o.label?.(i) ?? i), a, b, formatNumber(x * y, 6), formatNumber(sum, 6)]);
    }
    const results = missing ? [] : [['sum', sum], ...(o.bias ? [['bias', o.bias]] : []), ...(o.divisor ? [['divided by', o.divisor]] : [])];
    return {name: o.name, text: o.text, columns: [o.index, 'a', 'b', 'a b', 'sum so far'], rows, results, missing, value: missing ? null : (sum + (o.bias ?? 0)) / (o.divisor ?? 1), traced: o.traced ?? null};
}

// The sum of some cells and parameters.
function explainSum(model, o) {
    const missing = o.parts.some(p => p === null), known = o.parts.filter(p => p !== null);
    const number = p => p.cell ? model.value(p.cell) : p.value;
    return {name: o.name, text: o.text, columns: ['', 'value'], rows: known.map((p, i) => [String(i), p.cell ? shownCell(model, p.cell, p.name) : `${p.name} = ${formatNumber(p.value, 6)}`]),
        results: [], missing, value: missing ? null : known.reduce((sum, p) => sum + number(p), 0), traced: o.traced ?? null};
}

// (x - mean) / sqrt(variance + eps) gain + bias of one row (Ba, Kiros and Hinton 2016).
function explainNorm(model, o) {
    const cells = Array.from({length: model.C}, (_, c) => o.input(c)), x = cells.map(model.value), n = layerNormOf(x, null, null, model.eps), [gain, bias] = [o.parameter('weight'), o.parameter('bias')];
    const rows = cells.map((cell, c) => [c === o.col ? `${c} (this one)` : String(c), shownCell(model, cell, o.reads(c)), formatNumber(x[c] - n.mean, 6), formatNumber((x[c] - n.mean) ** 2, 6)]);
    const missing = gain === null, results = [['mean', n.mean], ['variance', n.variance], ['1 / sqrt(variance + eps)', n.rstd], ['normalized', n.normalized[o.col]], ...(missing ? [] : [['weight', gain], ['bias', bias ?? 0]])];
    return {name: o.name, text: o.text, columns: ['channel', 'x', 'x - mean', '(x - mean)²'], rows, results, missing, value: missing ? null : n.normalized[o.col] * gain + (bias ?? 0), traced: o.traced};
}

// exp(s - max) / sum of them, of the keys that a query sees.
function explainSoftmax(model, {layer, head, row, col}) {
    const count = model.gpt2 ? row + 1 : model.T, cells = Array.from({length: count}, (_, u) => ({of: 'score', layer, head, row, col: u})), scores = cells.map(model.value);
    const p = softmaxOf(scores), max = Math.max(...scores), masked = col >= count, name = `attn of head ${head}[${row}, ${col}]`;
    const rows = cells.map((cell, u) => [`${u} ${model.labels[u]}`, shownCell(model, cell, `score[${row}, ${u}]`), formatNumber(Math.exp(scores[u] - max), 6), formatNumber(p[u], 6)]);
    return {name, columns: ['key', 'score', 'exp(score - max)', 'divided by their sum'], rows, missing: false, traced: model.trace.tensors.get(`attentions.${layer}`).data[((head * model.T) + row) * model.T + col],
        text: masked ? `Token ${row} does not see token ${col}, which comes after it: 0.` : `softmax of the scores of token ${row} "${model.labels[row]}", at token ${col} "${model.labels[col]}"`,
        results: masked ? [] : [['largest score', max], ['sum of the exp', scores.reduce((sum, s) => sum + Math.exp(s - max), 0)]], value: masked ? 0 : p[col]};
}

// ---- the quantities ---------------------------------------------------------------------------------------------

// A parameter's number: weight [i, j] of a linear module (in, out), or [j] of a vector; null where it is not there.
function parameterAt(model, module, kind, ...at) {
    const tensor = model.trace.tensors.get(`weight.${module}.${kind}`);
    if (!tensor)
        return null;
    const [i, j] = model.modules.transposed ? [at[1], at[0]] : at;
    return tensor.data[at.length === 1 ? at[0] : i * tensor.shape[1] + j];
}

function quantitiesOf(model) {
    const {T, C, D, layers, gpt2, modules, block} = model, tensors = model.trace.tensors;
    const at = (name, row, col) => {
        const tensor = tensors.get(name);
        return tensor.data[row * tensor.shape[2] + col];
    };
    const inLayers = name => layer => layer < layers && tensors.has(name(layer)), F = tensors.get(block(0) + modules.fc)?.shape[2] ?? 0;
    const linear = (key, of, module, input, inputName, size, shift = 0) => ({[of]: {size, has: inLayers(module), value: c => at(module(c.layer), c.row, c.col + shift), explain: c => explainProducts(model, {
        name: `${key}[${c.row}, ${c.col}] of layer ${c.layer}`, text: `row ${c.row} of ${inputName(c.layer)} times column ${c.col} of the weight of ${module(c.layer)}`, index: 'i', count: tensors.get(model.sizeName(of, c.layer)).shape[2],
        left: i => ({cell: {of: input(c.layer), layer: c.layer, head: 0, row: c.row, col: i}, name: `${inputName(c.layer)}[${c.row}, ${i}]`}),
        right: i => named(`w[${i}, ${c.col}]`, parameterAt(model, module(c.layer), 'weight', i, c.col + shift)), bias: parameterAt(model, module(c.layer), 'bias', c.col + shift), traced: at(module(c.layer), c.row, c.col + shift)})}});
    const named = (name, value) => value === null ? null : {name, value};
    const inputOf = layer => gpt2 && tensors.has(block(layer) + modules.norms[0]) ? 'norm1' : 'hidden', mlpInput = () => gpt2 ? 'norm2' : 'norm1';
    const names = {hidden: l => `hidden.${l}`, norm1: l => block(l) + modules.norms[0], norm2: l => block(l) + modules.norms[1], context: l => `context.${l}`, act: l => block(l) + modules.act};
    model.sizeName = (of, layer) => names[{q: inputOf(layer), k: inputOf(layer), v: inputOf(layer), projection: 'context', fc: mlpInput(), mlp: 'act'}[of]](layer);
    const qkv = Object.assign({}, ...['q', 'k', 'v'].map((of, i) => linear(of, of, l => block(l) + (modules.qkv[i] ?? modules.qkv[0]), inputOf, inputOf, [T, C], modules.qkv.length === 1 ? i * C : 0)));
    return {...qkv, ...attentionQuantities(model, at, inLayers), ...normQuantities(model, at, inLayers),
        ...linear('projection', 'projection', l => block(l) + modules.proj, () => 'context', () => 'context'),
        ...linear('fc', 'fc', l => block(l) + modules.fc, mlpInput, mlpInput, [T, F]), ...linear('mlp', 'mlp', l => block(l) + modules.out, () => 'act', () => 'act'),
        act: {size: [T, F], has: inLayers(l => block(l) + modules.act), value: c => at(block(c.layer) + modules.act, c.row, c.col), explain: c => {
            const cell = {...c, of: 'fc'};
            return {name: `act[${c.row}, ${c.col}] of layer ${c.layer}`, text: `the activation ${model.activation} of fc`, columns: ['', 'value'], rows: [['x', shownCell(model, cell, `fc[${c.row}, ${c.col}]`)]], results: [], missing: false,
                value: ACTIVATIONS[model.activation](model.value(cell)), traced: at(block(c.layer) + modules.act, c.row, c.col)};
        }}};
}

function attentionQuantities(model, at, inLayers) {
    const {T, D} = model;
    const score = c => Array.from({length: D}, (_, d) => model.value({...c, of: 'q', col: c.head * D + d}) * model.value({of: 'k', layer: c.layer, head: 0, row: c.col, col: c.head * D + d})).reduce((a, b) => a + b, 0) / model.divisor(c.layer);
    return {
        score: {size: [T, T], has: inLayers(l => `attentions.${l}`), value: score, explain: c => explainProducts(model, {
            name: `score of head ${c.head}[${c.row}, ${c.col}] of layer ${c.layer}`, text: `query of token ${c.row} "${model.labels[c.row]}" times key of token ${c.col} "${model.labels[c.col]}", over the channels of head ${c.head}, divided by ${formatNumber(model.divisor(c.layer), 6)}`,
            index: 'channel', count: D, label: d => c.head * D + d, left: d => ({cell: {...c, of: 'q', col: c.head * D + d}, name: `q[${c.row}, ${c.head * D + d}]`}),
            right: d => ({cell: {...c, of: 'k', row: c.col, col: c.head * D + d}, name: `k[${c.col}, ${c.head * D + d}]`}), divisor: model.divisor(c.layer)})},
        attn: {size: [T, T], has: inLayers(l => `attentions.${l}`), value: c => model.trace.tensors.get(`attentions.${c.layer}`).data[(c.head * T + c.row) * T + c.col], explain: c => explainSoftmax(model, c)},
        context: {has: inLayers(l => `context.${l}`), value: c => at(`context.${c.layer}`, c.row, c.col), explain: c => {
            const head = Math.floor(c.col / D);
            return explainProducts(model, {name: `context[${c.row}, ${c.col}] of layer ${c.layer}`, text: `channel ${c.col} of the values, weighed by the attention of token ${c.row} "${model.labels[c.row]}" in head ${head}`,
                index: 'key', count: model.gpt2 ? c.row + 1 : T, label: u => `${u} ${model.labels[u]}`, left: u => ({cell: {of: 'attn', layer: c.layer, head, row: c.row, col: u}, name: `attn[${c.row}, ${u}]`}),
                right: u => ({cell: {of: 'v', layer: c.layer, head: 0, row: u, col: c.col}, name: `v[${u}, ${c.col}]`}), traced: at(`context.${c.layer}`, c.row, c.col)});
        }},
    };
}

// Norms and the sums between them.
function normQuantities(model, at, inLayers) {
    const {C, layers, gpt2, modules, block} = model, tensors = model.trace.tensors, cell = (of, layer, row, col) => ({of, layer, head: 0, row, col}), part = (of, layer, c) => ({cell: cell(of, layer, c.row, c.col), name: `${of}[${c.row}, ${c.col}] of layer ${layer}`});
    const norm = (c, name, module, input, traced) => explainNorm(model, {name, col: c.col, text: `layer norm of row ${c.row} of ${input(0).of}, with the weight and bias of ${module}`,
        input, reads: i => `${input(i).of}[${c.row}, ${i}]`, parameter: kind => parameterAt(model, module, kind, c.col), traced});
    const sum = (c, name, text, parts) => explainSum(model, {name, text, parts}), total = parts => parts.reduce((s, p) => s + (p.cell ? model.value(p.cell) : p?.value ?? NaN), 0);
    const embeddings = c => embeddingParts(model, c), middle = c => [part('hidden', c.layer, c), part('projection', c.layer, c)], end = layer => c => [part(gpt2 ? 'middle' : 'norm1', layer, c), part('mlp', layer, c)];
    const own = {
        embedding: {has: l => l === 0, value: c => total(embeddings(c)), explain: c => explainSum(model, {name: `embedding[${c.row}, ${c.col}]`, text: `token ${c.row} "${model.labels[c.row]}" at its position`, parts: embeddings(c)})},
        middle: {has: inLayers(l => block(l) + modules.proj), value: c => total(middle(c)), explain: c => sum(c, `middle[${c.row}, ${c.col}] of layer ${c.layer}`, 'what came in, and what attention adds', middle(c))},
        stream: {has: l => l < layers && tensors.has(block(l) + modules.out), value: c => total(end(c.layer)(c)), explain: c => sum(c, `stream[${c.row}, ${c.col}] after layer ${c.layer}`, gpt2 ? 'after attention, and what the MLP adds' : 'the norm after attention, and what the MLP adds', end(c.layer)(c))},
        norm1: {has: inLayers(l => block(l) + modules.norms[0]), value: c => at(block(c.layer) + modules.norms[0], c.row, c.col), explain: c => norm(c, `norm1[${c.row}, ${c.col}] of layer ${c.layer}`, block(c.layer) + modules.norms[0],
            i => cell(gpt2 ? 'hidden' : 'middle', c.layer, c.row, i), at(block(c.layer) + modules.norms[0], c.row, c.col))},
        norm2: {has: l => gpt2 && inLayers(x => block(x) + modules.norms[1])(l), value: c => at(block(c.layer) + modules.norms[1], c.row, c.col), explain: c => norm(c, `norm2[${c.row}, ${c.col}] of layer ${c.layer}`, block(c.layer) + modules.norms[1],
            i => cell('middle', c.layer, c.row, i), at(block(c.layer) + modules.norms[1], c.row, c.col))},
    };
    const hidden = c => {
        const name = `hidden.${c.layer}[${c.row}, ${c.col}]`, traced = at(`hidden.${c.layer}`, c.row, c.col);
        if (c.layer === 0)
            return gpt2 ? explainSum(model, {name, text: `token ${c.row} "${model.labels[c.row]}" at its position`, parts: embeddings(c), traced}) : norm(c, name, modules.layer.replace('encoder.layer.', 'embeddings.LayerNorm'), i => cell('embedding', 0, c.row, i), traced);
        if (gpt2 && c.layer < layers)
            return explainSum(model, {name, text: 'what the layer before has after attention, and what its MLP adds', parts: end(c.layer - 1)(c), traced});
        const module = gpt2 ? modules.layer.replace('h.', 'ln_f') : block(c.layer - 1) + modules.norms[1];
        return norm(c, name, module, i => cell('stream', c.layer - 1, c.row, i), traced);
    };
    return {...own, hidden: {has: l => tensors.has(`hidden.${l}`), value: c => at(`hidden.${c.layer}`, c.row, c.col), explain: hidden}};
}

// The rows of the embedding tables that a token and its place have.
function embeddingParts(model, {row, col}) {
    const tables = model.gpt2 ? [['wte', model.ids[row]], ['wpe', row]] : [['word_embeddings', model.ids[row]], ['position_embeddings', model.firstPosition + row], ['token_type_embeddings', 0]];
    const prefix = model.gpt2 ? model.modules.layer.replace('h.', '') : model.modules.layer.replace('encoder.layer.', 'embeddings.');
    return tables.map(([name, i]) => {
        const tensor = model.trace.tensors.get(`weight.${prefix}${name}.weight`);
        return tensor ? {name: `${name}[${i}, ${col}]`, value: tensor.data[i * tensor.shape[1] + col]} : null;
    });
}

// ---- cells of an expression -------------------------------------------------------------------------------------

// A cell of an evaluated expression: its products, and what its epilogue does to its row. Cells of products are followed as
// {spot}, those of Q, K, V and x as cells of the model.
function explainSpot(tree, spot, attention, place) {
    const node = nodeAt(tree, spot.path), name = `${labelOf(node)}[${spot.row}, ${spot.col}]`, value = node.value.data[spot.row * node.value.cols + spot.col];
    if (!node.left) {
        const [row, col] = isTurned(node) ? [spot.col, spot.row] : [spot.row, spot.col], cell = cellOfSource(node.source, row, col, attention, place);
        return {name, text: cell ? `${node.source}[${row}, ${col}] is a number of the model` : `${node.source}[${row}, ${col}] is a parameter, or a constant`, columns: ['', 'value'],
            rows: [[node.source, cell ? {text: `${cell.of}[${cell.row}, ${cell.col}] = ${formatNumber(value, 6)}`, cell} : formatNumber(value, 6)]], results: [], missing: false, value, traced: null};
    }
    const [i, j] = isTurned(node) ? [spot.col, spot.row] : [spot.row, spot.col], a = node.left.value, b = node.right.value, rows = [];
    let sum = 0;
    for (let k = 0; k < a.cols; k++) {
        const x = a.data[i * a.cols + k], y = b.data[k * b.cols + j];
        sum += x * y;
        rows.push([String(k), {text: `${labelOf(node.left)}[${i}, ${k}] = ${cellNumber(x)}`, spot: {path: spot.path + 'l', row: i, col: k}},
            {text: `${labelOf(node.right)}[${k}, ${j}] = ${cellNumber(y)}`, spot: {path: spot.path + 'r', row: k, col: j}}, cellNumber(x * y), cellNumber(sum)]);
    }
    const steps = node.epilogue.map((_, n) => node.epilogue.slice(0, n + 1)).filter(list => list[list.length - 1] !== '^T').map(list => {
        const m = applyEpilogue(node.raw, list, place.scalars), turned = list.filter(e => e === '^T').length % 2, now = turned === (isTurned(node) ? 1 : 0) ? [spot.row, spot.col] : [spot.col, spot.row];
        return [list[list.length - 1], m.data[now[0] * m.cols + now[1]]];
    });
    return {name, text: `row ${i} of ${labelOf(node.left)} times column ${j} of ${labelOf(node.right)}`, columns: ['k', 'a', 'b', 'a b', 'sum so far'], rows, results: [['sum', sum], ...steps], missing: false, value, traced: null};
}

function cellNumber(x) {
    return x === -Infinity ? '−∞' : formatNumber(x, 6);
}

// What a given matrix's number is in the model, null for weights and the column of ones. place = {layer, head: -1 for all
// channels as one, scalars}
function cellOfSource(source, row, col, attention, {layer, head}) {
    const of = {Q: 'q', K: 'k', V: 'v'}[source], shift = head > 0 ? head * attention.D : 0;
    if (of)
        return {of, layer, head: 0, row, col: col + shift};
    return source === 'x' && col < attention.C ? {of: attention.input, layer, head: 0, row, col} : null;
}
