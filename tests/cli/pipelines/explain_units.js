// explain_units.js: pure functions of data/explain/, run in the browser without a page. Expected values are from arithmetic
// on paper, bytes of floats from IEEE 754.
'use strict';

// A safetensors file: header (an object or its text) and data as bytes.
function safetensorsBytes(header, data = [], length = null) {
    const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
    const bytes = new Uint8Array(8 + text.length + data.length);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(length ?? text.length), true);
    bytes.set(text, 8);
    bytes.set(data, 8 + text.length);
    return bytes;
}

// 1.5 and -2 as F32, 7 and -1 as I32, little-endian.
const FLOATS = [0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0], INTEGERS = [7, 0, 0, 0, 255, 255, 255, 255];
const TWO = {
    __metadata__: {format: 'pt', 'gptpipe.config': '{"n_head": 2}', 'gptpipe.texts': '["a", "é"]'},
    x: {dtype: 'F32', shape: [1, 2], data_offsets: [0, 8]}, tokens: {dtype: 'I32', shape: [2], data_offsets: [8, 16]},
};

function testSafetensors() {
    const trace = readSafetensors(safetensorsBytes(TWO, [...FLOATS, ...INTEGERS]));
    check('names', [...trace.tensors.keys()], ['x', 'tokens']);
    check('floats', [...trace.tensors.get('x').data], [1.5, -2]);
    check('integers', [...trace.tensors.get('tokens').data], [7, -1]);
    check('shape', trace.tensors.get('x').shape, [1, 2]);
    check('metadata', trace.metadata.format, 'pt');
    check('config', configOfTrace(trace), {n_head: 2});
    check('texts', textsOfTrace(trace), ['a', 'é']);
    check('no config', configOfTrace({metadata: {}}), {});
    check('no texts', textsOfTrace({metadata: {}}), []);
    refuses('a config of JSON that is none', () => configOfTrace({metadata: {'gptpipe.config': '{'}}), 'gptpipe.config in the trace is no JSON object');
    refuses('texts that are none', () => textsOfTrace({metadata: {'gptpipe.texts': '[1]'}}), 'gptpipe.texts in the trace is no JSON list of texts');
    check('needed', needTensor(trace, 'x', [1, null]).shape, [1, 2]);
    check('needed of any shape', needTensor(trace, 'x').shape, [1, 2]);
    refuses('a missing tensor', () => needTensor(trace, 'y'), 'the trace has no tensor y');
    refuses('another shape', () => needTensor(trace, 'x', [2, null]), 'tensor x of the trace is [1, 2], expected [2, any]');
    refuses('another number of dims', () => needTensor(trace, 'x', [null]), 'expected [any]');
    check('nothing but a header', readSafetensors(safetensorsBytes({})).tensors.size, 0);
    check('a scalar', [...readSafetensors(safetensorsBytes({s: {dtype: 'F32', shape: [], data_offsets: [0, 4]}}, FLOATS.slice(0, 4))).tensors.get('s').data], [1.5]);
    const part = new Uint8Array([9, 9, 9, ...safetensorsBytes(TWO, [...FLOATS, ...INTEGERS])]).subarray(3);
    check('bytes within others', [...readSafetensors(part).tensors.get('x').data], [1.5, -2]);
}

function testDamagedSafetensors() {
    const read = (...a) => () => readSafetensors(safetensorsBytes(...a)), entry = e => ({x: {dtype: 'F32', shape: [2], data_offsets: [0, 8], ...e}});
    refuses('no byte', () => readSafetensors(new Uint8Array(0)), 'cut short (0 bytes');
    refuses('seven bytes', () => readSafetensors(new Uint8Array(7)), 'cut short (7 bytes');
    refuses('a header cut short', read('{}', [], 3), 'cut short in its header');
    refuses('a header of 2^63 bytes', read('{}', [], 2 ** 63), 'cut short in its header');
    refuses('not JSON', read('{x}'), 'not JSON');
    refuses('not UTF-8', () => readSafetensors(new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe])), 'not JSON');
    refuses('a list', read('[]'), 'no JSON object');
    refuses('null', read('null'), 'no JSON object');
    refuses('metadata of numbers', read({__metadata__: {a: 1}}), 'metadata');
    refuses('an entry that is null', read({x: null}), 'no shape or place');
    refuses('no shape', read(entry({shape: 2}), FLOATS), 'tensor x of the trace has no shape or place');
    refuses('a negative dim', read(entry({shape: [-2]}), FLOATS), 'no shape or place');
    refuses('half a dim', read(entry({shape: [0.5]}), FLOATS), 'no shape or place');
    refuses('one offset', read(entry({data_offsets: [0]}), FLOATS), 'no shape or place');
    refuses('another type', read(entry({dtype: 'BF16'}), FLOATS), 'tensor x of the trace is BF16, expected F32 or I32');
    refuses('a name of Object', read(entry({dtype: 'toString'}), FLOATS), 'expected F32 or I32');
    refuses('a wrong size', read(entry({shape: [3]}), FLOATS), 'has 8 bytes, its shape [3] needs 12');
    refuses('data cut short', read(entry({}), FLOATS.slice(0, 7)), 'cut short (tensor x ends at byte 8 of 7)');
    refuses('bytes at the end', read(entry({}), [...FLOATS, 0]), '1 bytes after its last tensor');
    refuses('no alignment', read(entry({data_offsets: [2, 10]}), [0, 0, ...FLOATS]), 'not aligned');
    refuses('an overlap', read({...entry({}), y: {dtype: 'F32', shape: [1], data_offsets: [4, 8]}}, FLOATS), 'overlap');
}

// ---- expression.js ----
const M = (...rows) => matrixOfRows(rows), rowsIn = m => Array.from({length: m.rows}, (_, r) => [...m.data.slice(r * m.cols, (r + 1) * m.cols)]);

function testMatrices() {
    check('product', rowsIn(multiply(M([1, 2], [3, 4], [5, 6]), M([1, 0, 2], [0, 1, 3]))), [[1, 2, 8], [3, 4, 18], [5, 6, 28]]);
    check('transposed', rowsIn(transposed(M([1, 2, 3], [4, 5, 6]))), [[1, 4], [2, 5], [3, 6]]);
    check('columns', rowsIn(columnsOf(M([1, 2, 3], [4, 5, 6]), 1, 2)), [[2, 3], [5, 6]]);
    check('rows', rowsIn(rowsOf(M([1, 2], [3, 4], [5, 6]), 1, 1)), [[3, 4]]);
    check('stacked', rowsIn(stacked(M([1, 2]), M([3, 4]))), [[1, 2], [3, 4]]);
}

function testEpilogues() {
    const of = (name, ...row) => rowsIn(FUNCTIONS[name](M(row)))[0], ln3 = Math.log(3);
    allNear('softmax', of('softmax', 0, ln3), [0.25, 0.75]);
    allNear('softmax of large numbers', of('softmax', 1000, 1000 + ln3), [0.25, 0.75]);
    check('softmax of nothing that is visible', of('softmax', -Infinity, -Infinity), [0, 0]);
    allNear('masked softmax', rowsIn(applyEpilogue(M([2, 9], [0, 2 * ln3]), ['/ 2', 'tril', 'softmax'], {})).flat(), [1, 0, 0.25, 0.75]);
    check('relu', of('relu', -2, 3), [0, 3]);
    allNear('gelu', of('gelu', 0, 1, -1), [0, 0.8411919906082768, -0.15880800939172324]); // torch, approximate="tanh", fp64
    allNear('sigmoid', of('sigmoid', 0, ln3), [0.5, 0.75]);
    allNear('silu', of('silu', 0, ln3), [0, 0.75 * ln3]);
    allNear('tanh', of('tanh', 0, ln3), [0, 0.8]);
    allNear('layer norm', of('layernorm', 1, 3), [-1 / Math.sqrt(1 + 1e-5), 1 / Math.sqrt(1 + 1e-5)]);
    check('choices', Object.keys(epilogueChoices(4)).length, 10);
    check('a choice', epilogueChoices(4)['masked softmax'], ['/ sqrt(4)', 'tril', 'softmax']);
    check('a divisor', [divisorOf('sqrt(D)', {D: 9}), divisorOf('4', {}), divisorOf('C', {C: 2})], [3, 4, 2]);
    refuses('a divisor without a value', () => divisorOf('sqrt(E)', {D: 9}), 'E is no positive number here; there are D');
}

function testExpressions() {
    const again = text => printExpression(parseExpression(text)), full = 'out = (attn = softmax(tril(Q K^T / sqrt(D)))) V wO';
    for (const text of [full, 'A', 'A B C', 'A (B C)', '(A B)^T C', 'relu(A)^T', 'A B / 2', '(A / 2) B', 'relu(A B) C', '(x = A B) (y = C D)', 'relu(A / 2)^T'])
        check(`printed: ${text}`, again(text), text);
    check('@', again('A @ B@C'), 'A B C');
    const tree = parseExpression(full);
    check('paths', nodesOf(tree).map(n => n.path), ['lll', 'llr', 'll', 'lr', 'l', 'r', '']);
    check('a name', [nodeAt(tree, 'll').name, nodeAt(tree, 'll').epilogue, nodeAt(tree, 'rl')], ['attn', ['/ sqrt(D)', 'tril', 'softmax'], null]);
    check('labels', nodesOf(tree).map(n => labelOf(n.node)), ['Q', 'K^T', 'attn', 'V', 'attn V', 'wO', 'out']);
    check('another epilogue', printExpression(withEpilogue(tree, 'll', ['relu'])), 'out = (attn = relu(Q K^T)) V wO');
    check('a transposition stays', printExpression(withEpilogue(parseExpression('relu(A B)^T C'), 'l', ['tanh'])), 'tanh(A B)^T C');
    for (const [text, message] of [['', 'empty'], ['A (', 'a matrix is missing after "A ("'], ['(A B', '")" is missing after "( A B"'], ['A )', '")" is not expected'],
        ['A / B C', 'not expected'], ['A + B', '"+" is not understood'], ['A ^T2', 'not understood'], ['A / )', 'a number is missing'], ['x = y = A', 'not expected'],
        ['/ 2', 'a matrix is missing at the beginning'], ['x = (y = A B)', 'x and y name the same product']])
        refuses(`"${text}"`, () => parseExpression(text), message);
}

function testEvaluation() {
    const shapes = {A: [2, 3], B: [3, 4]};
    check('a shape', [shapeOf(parseExpression('A B'), shapes), shapeOf(parseExpression('(A B)^T'), shapes)], [[2, 4], [4, 2]]);
    refuses('shapes that do not fit', () => shapeOf(parseExpression('B A'), shapes), 'B [3, 4] times A [2, 3]: 4 columns, 2 rows');
    refuses('an unknown matrix', () => shapeOf(parseExpression('A x'), shapes), 'there is no matrix x; there are A, B');
    const given = {matrices: {A: M([1, 2]), B: M([3, -1], [1, -1])}, scalars: {D: 4}};
    const tree = evaluate(parseExpression('y = relu(A B / sqrt(D)) B^T'), given); // A B = [5, -3], / 2, relu: [2.5, 0]
    check('before the epilogue', rowsIn(tree.left.raw), [[5, -3]]);
    check('after it', rowsIn(tree.left.value), [[2.5, 0]]);
    check('the product', rowsIn(tree.value), [[7.5, 2.5]]);
    const large = makeMatrix(1000, 1000);
    refuses('what would take long', () => evaluate(parseExpression('A A'), {matrices: {A: large}, scalars: {}}), 'more than 200 million');
}
