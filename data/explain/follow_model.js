// follow_model.js: the numbers of a trace that can be followed (follow.js), and what each is made of. Neither the document nor
// anything outside the arguments is touched.
'use strict';

// {value(cell), explain(cell), cellOf(text): null where there is no such cell, sizes(of): [rows, columns]} of a trace, beside
// sizes and names of its model.
function followedModel(trace) {
    const modules = attentionModules(trace), config = configOfTrace(trace), ids = needTensor(trace, 'tokens').data;
    const C = needTensor(trace, 'hidden.0').shape[2], H = needTensor(trace, 'attentions.0').shape[1], D = C / H;
    const model = {...modules, trace, ids, T: ids.length, C, H, D, labels: tokenLabels(trace), gpt2: modules.causal,
        eps: config.layer_norm_epsilon ?? config.layer_norm_eps ?? 1e-5,
        activation: config.activation_function ?? config.hidden_act ?? 'gelu_new',
        firstPosition: modules.family === 'roberta' ? (config.pad_token_id ?? 1) + 1 : 0,
        divisor: layer => divisorOfLayer(config, layer, D)};
    const quantities = {...embeddingQuantities(model), ...attentionQuantities(model), ...mlpQuantities(model), ...streamQuantities(model),
        hidden: hiddenQuantity(model)};
    model.value = cell => quantities[cell.of].value(cell);
    model.explain = cell => quantities[cell.of].explain(cell);
    model.sizes = of => quantities[of].size ?? [model.T, C];
    model.cellOf = text => {
        const parts = /^([a-z]+\d?)\.(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text), [layer, head, row, col] = parts ? parts.slice(2).map(Number) : [];
        if (!parts || !Object.hasOwn(quantities, parts[1]) || !quantities[parts[1]].has(layer) || head >= H)
            return null;
        const [rows, cols] = model.sizes(parts[1]);
        return row < rows && col < cols ? {of: parts[1], layer, head, row, col} : null;
    };
    return model;
}

// ---- what all quantities share ----------------------------------------------------------------------------------

// A number of a tensor (1, rows, columns).
function tracedAt(model, name, row, col) {
    const tensor = model.trace.tensors.get(name);
    return tensor.data[row * tensor.shape[2] + col];
}

// Whether a layer has the tensor of that name.
function hasTensor(model, name) {
    return layer => layer < model.layers && model.trace.tensors.has(name(layer));
}

// A parameter's number: weight [i, j] of a linear module (in, out), or [j] of a vector; null where it is not there. GPT-2
// stores weights as (in, out), BERT as (out, in).
function parameterAt(model, module, kind, ...at) {
    const tensor = model.trace.tensors.get(`weight.${module}.${kind}`);
    if (!tensor)
        return null;
    const [i, j] = model.modules.transposed ? [at[1], at[0]] : at;
    return tensor.data[at.length === 1 ? at[0] : i * tensor.shape[1] + j];
}

function parameterRead(name, value) {
    return value === null ? null : {name, value};
}

const cellAt = (of, layer, row, col) => ({of, layer, head: 0, row, col});

// The number of another quantity at the same place.
function readAt(of, layer, {row, col}) {
    return {cell: cellAt(of, layer, row, col), name: `${of}[${row}, ${col}] of layer ${layer}`};
}

const nameOfCell = ({of, layer, row, col}) => `${of}[${row}, ${col}] of layer ${layer}`;

// The output of a linear module: `of` = input W + b. module(l): its name; input(l): the quantity that it reads, of `count`
// columns; shift: its first column of W, where it shares it with others.
function linearQuantity(model, {module, input, count, size, shift = 0}) {
    return {size, has: hasTensor(model, module), value: c => tracedAt(model, module(c.layer), c.row, c.col + shift), explain: c => {
        const name = module(c.layer), of = input(c.layer), column = c.col + shift;
        return explainProducts(model, {name: nameOfCell(c), text: `row ${c.row} of ${of} times column ${column} of the weight of ${name}`,
            index: 'i', count,
            left: i => ({cell: cellAt(of, c.layer, c.row, i), name: `${of}[${c.row}, ${i}]`}),
            right: i => parameterRead(`w[${i}, ${column}]`, parameterAt(model, name, 'weight', i, column)),
            bias: parameterAt(model, name, 'bias', column), traced: tracedAt(model, name, c.row, column)});
    }};
}

// The sum of parts(c), which no tensor of the trace has.
function sumQuantity(model, {has, text, parts, name = nameOfCell}) {
    return {has, value: c => sumOfReads(model, parts(c)), explain: c => explainSum(model,
        {name: name(c), text: typeof text === 'function' ? text(c) : text, parts: parts(c)})};
}

// The output of a norm of each layer, which reads row c.row of the quantity `input`.
function normQuantity(model, {module, input}) {
    return {has: hasTensor(model, module), value: c => tracedAt(model, module(c.layer), c.row, c.col),
        explain: c => explainNorm(model, {name: nameOfCell(c),
        text: `layer norm of row ${c.row} of ${input}`, col: c.col, input: i => cellAt(input, c.layer, c.row, i), module: module(c.layer),
            traced: tracedAt(model, module(c.layer), c.row, c.col)})};
}

// ---- the quantities ---------------------------------------------------------------------------------------------

function embeddingQuantities(model) {
    return {embedding: sumQuantity(model, {has: layer => layer === 0, name: c => `embedding[${c.row}, ${c.col}]`,
        text: c => embeddingText(model, c), parts: c => embeddingParts(model, c)})};
}

function embeddingText(model, {row}) {
    return `token ${row} "${model.labels[row]}" at its position`;
}

// The rows of the embedding tables that a token and its place have.
function embeddingParts(model, {row, col}) {
    const {layer} = model.modules, prefix = model.gpt2 ? layer.replace('h.', '') : layer.replace('encoder.layer.', 'embeddings.');
    const tables = model.gpt2 ? [['wte', model.ids[row]], ['wpe', row]]
        : [['word_embeddings', model.ids[row]], ['position_embeddings', model.firstPosition + row], ['token_type_embeddings', 0]];
    return tables.map(([name, i]) => {
        const tensor = model.trace.tensors.get(`weight.${prefix}${name}.weight`);
        return tensor ? {name: `${name}[${i}, ${col}]`, value: tensor.data[i * tensor.shape[1] + col]} : null;
    });
}

function attentionQuantities(model) {
    const {T, C, D, modules, block, labels} = model, hasAttention = hasTensor(model, l => `attentions.${l}`), fused = modules.qkv.length === 1;
    const input = layer => model.of(layer).input.startsWith('hidden') ? 'hidden' : 'norm1', channel = (c, d) => c.head * D + d;
    const query = (c, d) => ({cell: cellAt('q', c.layer, c.row, channel(c, d)), name: `q[${c.row}, ${channel(c, d)}]`});
    const key = (c, d) => ({cell: cellAt('k', c.layer, c.col, channel(c, d)), name: `k[${c.col}, ${channel(c, d)}]`});
    const score = {size: [T, T], has: hasAttention, value: c => {
        let sum = 0;
        for (let d = 0; d < D; d++)
            sum += readValue(model, query(c, d)) * readValue(model, key(c, d));
        return sum / model.divisor(c.layer);
    }, explain: c => explainProducts(model, {name: `score of head ${c.head}[${c.row}, ${c.col}] of layer ${c.layer}`,
        text: `query of token ${c.row} "${labels[c.row]}" times key of token ${c.col} "${labels[c.col]}", over the channels of head ${c.head}, divided by ${formatNumber(model.divisor(c.layer), 6)}`,
        index: 'channel', label: d => String(channel(c, d)), count: D, left: d => query(c, d), right: d => key(c, d), divisor: model.divisor(c.layer)})};
    const attn = {size: [T, T], has: hasAttention, explain: c => explainSoftmax(model, c),
        value: c => model.trace.tensors.get(`attentions.${c.layer}`).data[(c.head * T + c.row) * T + c.col]};
    const context = {has: hasTensor(model, l => `context.${l}`), value: c => tracedAt(model, `context.${c.layer}`, c.row, c.col), explain: c => {
        const h = Math.floor(c.col / D);
        return explainProducts(model, {name: nameOfCell(c), text: `channel ${c.col} of the values, weighed by the attention of token ${c.row} "${labels[c.row]}" in head ${h}`,
            index: 'key', label: u => `${u} ${labels[u]}`, count: model.gpt2 ? c.row + 1 : T,
            left: u => ({cell: {of: 'attn', layer: c.layer, head: h, row: c.row, col: u}, name: `attn[${c.row}, ${u}]`}),
            right: u => ({cell: cellAt('v', c.layer, u, c.col), name: `v[${u}, ${c.col}]`}),
                traced: tracedAt(model, `context.${c.layer}`, c.row, c.col)});
    }};
    const linear = i => linearQuantity(model, {module: l => block(l) + modules.qkv[fused ? 0 : i], input, count: C, size: [T, C],
        shift: fused ? i * C : 0});
    return {q: linear(0), k: linear(1), v: linear(2), score, attn, context, projection: linearQuantity(model,
        {module: l => block(l) + modules.proj, input: () => 'context', count: C})};
}

function mlpQuantities(model) {
    const {T, C, modules, block, gpt2} = model, activated = l => block(l) + modules.act,
        F = model.trace.tensors.get(block(0) + modules.fc)?.shape[2] ?? 0;
    const act = {size: [T, F], has: hasTensor(model, activated), value: c => tracedAt(model, activated(c.layer), c.row, c.col), explain: c => {
        const read = {cell: {...c, of: 'fc'}, name: `fc[${c.row}, ${c.col}]`};
        return {name: nameOfCell(c), text: `the activation ${model.activation} of fc`, columns: ['', 'value'],
            rows: [['x', readText(model, read)]], results: [], missing: false,
            value: ACTIVATIONS[model.activation](readValue(model, read)), traced: tracedAt(model, activated(c.layer), c.row, c.col)};
    }};
    return {act, fc: linearQuantity(model, {module: l => block(l) + modules.fc, input: () => gpt2 ? 'norm2' : 'norm1', count: C, size: [T, F]}),
        mlp: linearQuantity(model, {module: l => block(l) + modules.out, input: () => 'act', count: F})};
}

// What a layer has after its MLP, before the norm that BERT puts there.
function endParts(model, layer, c) {
    return [readAt(model.gpt2 ? 'middle' : 'norm1', layer, c), readAt('mlp', layer, c)];
}

// Norms and the sums between them: GPT-2 norms what attention and the MLP read, BERT the sum after each.
function streamQuantities(model) {
    const {modules, block, gpt2} = model, norm = i => l => block(l) + modules.norms[i];
    return {
        middle: sumQuantity(model, {has: hasTensor(model, l => block(l) + modules.proj), text: 'what came in, and what attention adds',
            parts: c => [readAt('hidden', c.layer, c), readAt('projection', c.layer, c)]}),
        stream: sumQuantity(model, {has: hasTensor(model, l => block(l) + modules.out), parts: c => endParts(model, c.layer, c),
            text: gpt2 ? 'after attention, and what the MLP adds' : 'the norm after attention, and what the MLP adds'}),
        norm1: normQuantity(model, {module: norm(0), input: gpt2 ? 'hidden' : 'middle'}),
        ...(gpt2 ? {norm2: normQuantity(model, {module: norm(1), input: 'middle'})} : {}),
    };
}

// hidden.0 is what enters the first layer, hidden.L what leaves the last one, in GPT-2 after the last norm.
function hiddenQuantity(model) {
    const {modules, block, gpt2, layers} = model;
    return {has: layer => model.trace.tensors.has(`hidden.${layer}`), value: c => tracedAt(model, `hidden.${c.layer}`, c.row, c.col), explain: c => {
        const name = `hidden.${c.layer}[${c.row}, ${c.col}]`, traced = tracedAt(model, `hidden.${c.layer}`, c.row, c.col);
        const norm = (module, of, layer) => explainNorm(model, {name, text: `layer norm of row ${c.row} of ${of}`, col: c.col,
            input: i => cellAt(of, layer, c.row, i), module, traced});
        if (c.layer === 0 && gpt2)
            return explainSum(model, {name, text: embeddingText(model, c), parts: embeddingParts(model, c), traced});
        if (c.layer === 0)
            return norm(modules.layer.replace('encoder.layer.', 'embeddings.LayerNorm'), 'embedding', 0);
        if (gpt2 && c.layer < layers)
            return explainSum(model, {name, text: 'what the layer before has after attention, and what its MLP adds',
                parts: endParts(model, c.layer - 1, c), traced});
        return norm(gpt2 ? modules.layer.replace('h.', 'ln_f') : block(c.layer - 1) + modules.norms[1], 'stream', c.layer - 1);
    }};
}
