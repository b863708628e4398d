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

// ---- kinds of explanation ---------------------------------------------------------------------------------------
//
// An explanation is {name, text: what is computed, columns, rows: lists of texts and of {text, cell}, results: [[label,
// number]], missing: whether weights are, value: computed here or null, traced: the trace's or null}. What a row reads is
// {cell, name} of the model or {name, value} of a parameter, null where the trace has no weights.

function readText(model, read) {
    if (read === null)
        return '-';
    const text = `${read.name} = ${formatNumber(readValue(model, read), 6)}`;
    return read.cell ? {text, cell: read.cell} : text;
}

function readValue(model, read) {
    return read === null ? NaN : read.cell ? model.value(read.cell) : read.value;
}

// (sum over i < count of left(i) right(i) + bias) / divisor
function explainProducts(model, {name, text, index, label = String, count, left, right, bias = null, divisor = null, traced = null}) {
    const rows = [], missing = right(0) === null;
    let sum = 0;
    for (let i = 0; i < count; i++) {
        const product = readValue(model, left(i)) * readValue(model, right(i));
        sum += product;
        rows.push([label(i), readText(model, left(i)), readText(model, right(i)), formatNumber(product, 6), formatNumber(sum, 6)]);
    }
    const results = [['sum', sum]];
    if (bias !== null)
        results.push(['bias', bias]);
    if (divisor !== null)
        results.push(['divided by', divisor]);
    return {name, text, columns: [index, 'a', 'b', 'a b', 'sum so far'], rows, missing, traced,
        results: missing ? [] : results, value: missing ? null : (sum + (bias ?? 0)) / (divisor ?? 1)};
}

function explainSum(model, {name, text, parts, traced = null}) {
    const missing = parts.includes(null), rows = parts.filter(p => p !== null).map((p, i) => [String(i), readText(model, p)]);
    return {name, text, columns: ['', 'value'], rows, results: [], missing, value: missing ? null : sumOfReads(model, parts), traced};
}

function sumOfReads(model, parts) {
    return parts.reduce((sum, p) => sum + readValue(model, p), 0);
}

// (x - mean) / sqrt(variance + eps) weight + bias of channel `col` of a row (Ba, Kiros and Hinton 2016). input(c): the cells.
function explainNorm(model, {name, text, col, input, module, traced}) {
    const cells = Array.from({length: model.C}, (_, c) => input(c)), x = cells.map(model.value), n = layerNormOf(x, null, null, model.eps);
    const weight = parameterAt(model, module, 'weight', col), bias = parameterAt(model, module, 'bias', col) ?? 0, missing = weight === null;
    const rows = cells.map((cell, c) => [c === col ? `${c} (this one)` : String(c),
        readText(model, {cell, name: `${cell.of}[${cell.row}, ${c}]`}), formatNumber(x[c] - n.mean, 6), formatNumber((x[c] - n.mean) ** 2, 6)]);
    const results = [['mean', n.mean], ['variance', n.variance], ['1 / sqrt(variance + eps)', n.rstd], ['normalized', n.normalized[col]]];
    if (!missing)
        results.push(['weight', weight], ['bias', bias]);
    return {name, text: `${text}, with the weight and bias of ${module}`, columns: ['channel', 'x', 'x - mean', '(x - mean)²'], rows,
        results, missing,
        value: missing ? null : n.normalized[col] * weight + bias, traced};
}

// exp(score - max) / the sum of these, over the keys that a query sees.
function explainSoftmax(model, cell) {
    const {row, col} = cell, count = model.gpt2 ? row + 1 : model.T, name = `attn of head ${cell.head}[${row}, ${col}]`;
    const cells = Array.from({length: count}, (_, u) => ({...cell, of: 'score', col: u})), scores = cells.map(model.value);
    const p = softmaxOf(scores), max = Math.max(...scores), exps = scores.map(s => Math.exp(s - max));
    const rows = cells.map((c, u) => [`${u} ${model.labels[u]}`, readText(model, {cell: c, name: `score[${row}, ${u}]`}),
        formatNumber(exps[u], 6), formatNumber(p[u], 6)]);
    const found = {name, columns: ['key', 'score', 'exp(score - max)', 'divided by their sum'], rows, missing: false, traced: model.value(cell)};
    if (col >= count)
        return {...found, text: `Token ${row} does not see token ${col}, which comes after it: 0.`, results: [], value: 0};
    return {...found, text: `softmax of the scores of token ${row} "${model.labels[row]}", at token ${col} "${model.labels[col]}"`,
        results: [['largest score', max], ['sum of the exp', sumOf(exps)]], value: p[col]};
}

// ---- cells of an expression -------------------------------------------------------------------------------------

// A cell of an evaluated expression: its products, and what its epilogue does to its row. Cells of products are followed as
// {spot}, those of Q, K, V and x as cells of the model.
function explainSpot(tree, spot, attention, place) {
    const node = nodeAt(tree, spot.path), name = `${labelOf(node)}[${spot.row}, ${spot.col}]`,
        value = node.value.data[spot.row * node.value.cols + spot.col];
    if (!node.left) {
        const [row, col] = isTurned(node) ? [spot.col, spot.row] : [spot.row, spot.col], cell = cellOfSource(node.source, row, col, attention, place);
        return {name, text: cell ? `${node.source}[${row}, ${col}] is a number of the model` : `${node.source}[${row}, ${col}] is a parameter, or a constant`, columns: ['', 'value'],
            rows: [[node.source, cell ? {text: `${cell.of}[${cell.row}, ${cell.col}] = ${formatNumber(value, 6)}`,
                cell} : formatNumber(value, 6)]], results: [], missing: false, value, traced: null};
    }
    const [i, j] = isTurned(node) ? [spot.col, spot.row] : [spot.row, spot.col], a = node.left.value, b = node.right.value, rows = [];
    let sum = 0;
    for (let k = 0; k < a.cols; k++) {
        const x = a.data[i * a.cols + k], y = b.data[k * b.cols + j];
        sum += x * y;
        rows.push([String(k), {text: `${labelOf(node.left)}[${i}, ${k}] = ${cellNumber(x)}`, spot: {path: spot.path + 'l', row: i, col: k}},
            {text: `${labelOf(node.right)}[${k}, ${j}] = ${cellNumber(y)}`, spot: {path: spot.path + 'r', row: k, col: j}},
                cellNumber(x * y), cellNumber(sum)]);
    }
    const steps = node.epilogue.map((_, n) => node.epilogue.slice(0, n + 1)).filter(list => list[list.length - 1] !== '^T').map(list => {
        const m = applyEpilogue(node.raw, list, place.scalars), turned = list.filter(e => e === '^T').length % 2,
            now = turned === (isTurned(node) ? 1 : 0) ? [spot.row, spot.col] : [spot.col, spot.row];
        return [list[list.length - 1], m.data[now[0] * m.cols + now[1]]];
    });
    return {name, text: `row ${i} of ${labelOf(node.left)} times column ${j} of ${labelOf(node.right)}`,
        columns: ['k', 'a', 'b', 'a b', 'sum so far'], rows, results: [['sum', sum], ...steps], missing: false, value, traced: null};
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
