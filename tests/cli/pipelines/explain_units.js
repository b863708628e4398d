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
    refuses('a config of JSON that is none', () => configOfTrace({metadata: {'gptpipe.config': '{'}}),
        'gptpipe.config in the trace is no JSON object');
    refuses('texts that are none', () => textsOfTrace({metadata: {'gptpipe.texts': '[1]'}}), 'gptpipe.texts in the trace is no JSON list of texts');
    check('needed', needTensor(trace, 'x', [1, null]).shape, [1, 2]);
    check('needed of any shape', needTensor(trace, 'x').shape, [1, 2]);
    refuses('a missing tensor', () => needTensor(trace, 'y'), 'the trace has no tensor y');
    refuses('another shape', () => needTensor(trace, 'x', [2, null]), 'tensor x of the trace is [1, 2], expected [2, any]');
    refuses('another number of dims', () => needTensor(trace, 'x', [null]), 'expected [any]');
    check('nothing but a header', readSafetensors(safetensorsBytes({})).tensors.size, 0);
    check('a scalar', [...readSafetensors(safetensorsBytes({s: {dtype: 'F32', shape: [], data_offsets: [0, 4]}},
        FLOATS.slice(0, 4))).tensors.get('s').data], [1.5]);
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
    for (const text of [full, 'A', 'A B C', 'A (B C)', '(A B)^T C', 'relu(A)^T', 'A B / 2', '(A / 2) B', 'relu(A B) C',
        '(x = A B) (y = C D)', 'relu(A / 2)^T'])
        check(`printed: ${text}`, again(text), text);
    check('@', again('A @ B@C'), 'A B C');
    const tree = parseExpression(full);
    check('paths', nodesOf(tree).map(n => n.path), ['lll', 'llr', 'll', 'lr', 'l', 'r', '']);
    check('a name', [nodeAt(tree, 'll').name, nodeAt(tree, 'll').epilogue, nodeAt(tree, 'rl')], ['attn', ['/ sqrt(D)', 'tril', 'softmax'], null]);
    check('labels', nodesOf(tree).map(n => labelOf(n.node)), ['Q', 'K^T', 'attn', 'V', 'attn V', 'wO', 'out']);
    check('another epilogue', printExpression(withEpilogue(tree, 'll', ['relu'])), 'out = (attn = relu(Q K^T)) V wO');
    check('a transposition stays', printExpression(withEpilogue(parseExpression('relu(A B)^T C'), 'l', ['tanh'])), 'tanh(A B)^T C');
    for (const [text, message] of [['', 'empty'], ['A (', 'a matrix is missing after "A ("'], ['(A B', '")" is missing after "( A B"'],
        ['A )', '")" is not expected'],
        ['A / B C', 'not expected'], ['A + B', '"+" is not understood'], ['A ^T2', 'not understood'], ['A / )', 'a number is missing'],
            ['x = y = A', 'not expected'],
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

// ---- layout.js ----
const evaluated = text => evaluate(parseExpression(text), {matrices: {A: M([1, 2, 3], [4, 5, 6]),
    B: M([1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]), C: M([1], [2], [3], [4])}, scalars: {}});

function testLayout() {
    const one = layoutOf(evaluated('A B'), 'wheel'), [box] = one.boxes;
    check('a box', [box.rows, box.cols, box.depth, boxBounds(box)], [2, 4, 3, [[0, -2, -3], [4, 0, 0]]]);
    check('faces', one.faces.map(f => [f.path, f.input, f.origin]), [['', false, [0, 0, 0.5]], ['l', true, [-0.5, 0, 0]], ['r', true, [0, 0.5, 0]]]);
    check('A lies along depth', [one.faces[1].er, one.faces[1].ec], [[0, -1, 0], [0, 0, -1]]);
    check('B too', [one.faces[2].er, one.faces[2].ec], [[0, 0, -1], [1, 0, 0]]);
    check('a matrix alone', layoutOf(evaluated('A'), 'blocks').faces.length, 1);
    const turned = layoutOf(evaluated('(A B)^T A'), 'wheel').boxes[1];
    check('a transposed result', [turned.rows, turned.cols, turned.er, turned.ec], [2, 4, [0, 0, -1], [0, -1, 0]]);
    const nested = layoutOf(evaluated('A B C'), 'wheel');
    check('the result of a factor is the face of its reader', nested.faces.filter(f => f.path === 'l').map(f => [f.input, f.origin, f.er,
        f.ec]), [[false, [-0.5, 0, 0], [0, -1, 0], [0, 0, -1]]]);
}

function testLayouts() {
    const chain = 'A B C (C^T B^T) A^T (A B) C', fork = '(A B C) ((C^T B^T) A^T (A B))';
    for (const kind of LAYOUTS)
        for (const text of ['A B', 'A B C', 'A (B C)', '(A B) (B^T A^T)', chain, fork]) {
            const part = layoutOf(evaluated(text), kind), products = nodesOf(parseExpression(text)).filter(n => n.node.left).length;
            check(`${kind} of ${text}: a box for each product`, part.boxes.length, products);
            const bounds = part.boxes.map(boxBounds);
            check(`${kind} of ${text}: no overlap`, bounds.some((a, i) => bounds.some((b, j) => i < j && overlap(a, b))), false);
            const paths = nodesOf(parseExpression(text)).map(n => n.path);
            check(`${kind} of ${text}: each matrix has a face`, paths.every(p => part.faces.some(f => f.path === p)), true);
            for (const b of part.boxes)
                check(`${kind} of ${text}: axes`, [b.er, b.ec, b.ek].flatMap(v => v.map((x, i) => x ? i : -1)).filter(i => i >= 0).sort(), [0, 1, 2]);
        }
    const directions = (kind, text) => layoutOf(evaluated(text), kind).boxes.map(b => b.ek.join());
    check('a wheel turns around', directions('wheel', 'A B C C^T'), ['0,0,-1', '-1,0,0', '0,0,1']);
    check('a zigzag goes on', directions('zigzag', 'A B C C^T'), ['0,0,-1', '-1,0,0', '0,0,-1']);
    check('blocks are upright', directions('blocks', 'A B C C^T'), ['0,0,-1', '0,0,-1', '0,0,-1']);
    const far = freeDistance({boxes: [], links: [], faces: [{matrix: {rows: 1, cols: 1}, origin: [0, 0, 0], er: [0, -1, 0], ec: [1, 0, 0]}]},
        layoutOf(evaluated('A B'), 'wheel'), [-1, 0, 0], 1);
    check('moved until free', far > 0, true);
    check('bounds', boundsOf(layoutOf(evaluated('A B'), 'wheel')), [[-0.6, -2, -3], [4, 0.6, 0.6]]);
}

// ---- animation.js: A (2,3) B (3,4) ----
function testAnimations() {
    const steps = kind => animationSteps(kind, 2, 3, 4), ranges = (kind, n) => Object.values(animationRanges(kind, n, 2, 3, 4));
    check('steps', Object.keys(ANIMATIONS).map(steps), [8, 6, 2, 4, 3]);
    check('dot product', ranges('dot product', 5), [[1, 2], [0, 3], [1, 2]]);
    check('axpy', ranges('axpy', 4), [[1, 2], [1, 2], [0, 4]]);
    check('vector-matrix', ranges('vector-matrix', 1), [[1, 2], [0, 3], [0, 4]]);
    check('matrix-vector', ranges('matrix-vector', 3), [[0, 2], [0, 3], [3, 4]]);
    check('outer product', ranges('outer product', 2), [[0, 2], [2, 3], [0, 4]]);
    const a = M([1, 2, 3], [4, 5, 6]), b = M([1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]), part = (kind, n) => rowsIn(partialProduct(a, b, kind, n));
    check('after 6 dot products', part('dot product', 5), [[1, 2, 3, 6], [4, 5, null, null]].map(r => r.map(x => x ?? NaN)));
    check('after an axpy of the second row', part('axpy', 3), [[1, 2, 3, 6], [4, 0, 0, 4]]);
    check('after a row', part('vector-matrix', 0), [[1, 2, 3, 6], [NaN, NaN, NaN, NaN]]);
    check('after two columns', part('matrix-vector', 1), [[1, 2, NaN, NaN], [4, 5, NaN, NaN]]);
    check('after two outer products', part('outer product', 1), [[1, 2, 0, 3], [4, 5, 0, 9]]);
    for (const kind of Object.keys(ANIMATIONS))
        check(`${kind} at its end`, part(kind, steps(kind) - 1), rowsIn(multiply(a, b)));
    const order = animationOrder(evaluated('A B C'), 'outer product', '');
    check('factors first', order, [{path: 'l', steps: 3}, {path: '', steps: 4}]);
    check('one product', [animationOrder(evaluated('A B C'), 'outer product', 'l'), animationOrder(evaluated('A B C'), 'outer product',
        '.')], [[{path: 'l', steps: 3}], [{path: '', steps: 4}]]);
    check('a place', animationPlace(order, 4), {path: '', n: 1, done: ['l'], total: 7});
    check('a place after the end', animationPlace(order, 99).n, 3);
    check('a place before the beginning', animationPlace(order, -1), {path: 'l', n: 0, done: [], total: 7});
    check('nothing to animate', animationPlace([], 0).total, 0);
}

// ---- scene.js ----
const PLAIN = {sensitivity: 1, zero: 120, spread: 90, dark: false}, VIEW = {layout: 'wheel', hide: false, scale: 'local', animation: '',
    order: [], at: 0, spot: null};

function testColours() {
    check('red, green, blue, grey', [[0, 1, 0.5], [120, 1, 0.5], [-120, 1, 0.5], [77, 0, 0.5]].map(c => rgbOfHsl(...c)),
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]]);
    const shade = (v, c = PLAIN) => valueColour(v, 2, c).map(x => Math.round(100 * x));
    check('nothing is the page\'s', shade(0), [95, 95, 95]);
    check('nothing in the dark', shade(0, {...PLAIN, dark: true}), [16, 16, 16]);
    check('signs have two colours', [shade(2)[2] > shade(2)[0], shade(-2)[0] > shade(-2)[2]], [true, true]); // hues 210 and 30
    check('more than the most', shade(9), shade(2));
    check('sensitivity', [shade(0.02, {...PLAIN, sensitivity: 4})[0] < shade(0.02)[0], shade(2, {...PLAIN, sensitivity: 4})], [true, shade(2)]);
    check('no spread, one colour', shade(-2, {...PLAIN, spread: 0}), shade(2, {...PLAIN, spread: 0}));
    check('CSS', cssColour([1, 0, 0.5]), 'rgb(255 0 128)');
    const pixels = pixelsOf(M([0, NaN, -Infinity]), 1, PLAIN);
    check('pixels', [...pixels], [242, 242, 242, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
}

function testScene() {
    const tree = evaluated('(y = A B) C'), scene = sceneOf(tree, VIEW);
    check('faces', scene.quads.map(q => q.path).sort(), ['', 'l', 'll', 'lr', 'r']);
    check('a dot for each multiplication', scene.dots.length, 2 * 3 * 4 + 2 * 4 * 1);
    check('its value', scene.dots.some(d => d.value === 6), true);
    check('labels', scene.labels.map(l => l.text).sort(), ['A', 'B', 'C', 'y', 'y C']);
    check('hidden inputs', sceneOf(tree, {...VIEW, hide: true}).quads.map(q => q.path).sort(), ['', 'l']);
    const max = (scale, path) => sceneOf(tree, {...VIEW, scale}).quads.find(q => q.path === path).max; // A B C = [[1 + 4 + 9 + 24], [4 + 10 + 18 + 60]]
    check('local and global scales', [max('local', 'll'), max('global', 'll'), max('local', '')], [6, 92, 92]);
    const order = animationOrder(tree, 'outer product', ''), at = n => sceneOf(tree, {...VIEW, animation: 'outer product', order, at: n});
    check('the first step', [at(0).dots.length, [...at(0).quads.find(q => q.path === 'l').matrix.data],
        at(0).quads.find(q => q.path === '').matrix.data.every(Number.isNaN)],
        [8, [1, 0, 0, 1, 4, 0, 0, 4], true]);
    check('the second product', [[...at(3).quads.find(q => q.path === 'l').matrix.data],
        [...at(3).quads.find(q => q.path === '').matrix.data]], [[1, 2, 3, 6, 4, 5, 6, 15], [1, 4]]);
    check('the end', [...at(6).quads.find(q => q.path === '').matrix.data], [38, 92]);
    check('a spot', [spotOf('l.1.3', tree), textOfSpot({path: 'l', row: 1, col: 3}), textOfSpot(null)], [{path: 'l', row: 1, col: 3}, 'l.1.3', '']);
    check('no such spot', ['l.2.0', 'x.0.0', 'rl.0.0', '', 'l.1'].map(t => spotOf(t, tree)), [null, null, null, null, null]);
    check('a spot has a frame, a row and a column', sceneOf(tree, {...VIEW, spot: spotOf('.1.0', tree)}).lines.filter(l => l.strong).length, 12);
}

function testCamera() {
    const bounds = [[-1, -1, -1], [1, 1, 1]], front = {yaw: 0, pitch: 0, zoom: 1, panx: 0, pany: 0}, camera = cameraOf(front, bounds, 2),
        radius = Math.sqrt(3);
    near('from the front', camera.eye[2], radius / 0.3);
    allNear('the middle', projectPoint(camera, [0, 0, 0]), [0, 0, radius / 0.3]);
    allNear('the right', projectPoint(camera, [radius, 0, 0]).slice(0, 2), [0.5, 0]); // twice as wide as high
    allNear('the top', projectPoint(camera, [0, radius, 0]).slice(0, 2), [0, 1]);
    allNear('from the right', cameraOf({...front, yaw: 90}, bounds, 1).eye, [radius / 0.3, 0, 0]);
    allNear('from above', cameraOf({...front, pitch: 90}, bounds, 1).eye, [0, radius / 0.3, 0]);
    allNear('nearer', cameraOf({...front, zoom: 2}, bounds, 1).eye, [0, 0, radius / 0.6]);
    allNear('aside', cameraOf({...front, panx: 1, pany: -1}, bounds, 1).eye, [radius, -radius, radius / 0.3]);
    const turned = cameraOf({yaw: 30, pitch: 20, zoom: 1.5, panx: 0.1, pany: 0.2}, bounds, 1.5), p = [0.3, -0.7, 0.9], m = cameraMatrix(turned);
    const clip = [0, 1, 2, 3].map(r => m[r] * p[0] + m[4 + r] * p[1] + m[8 + r] * p[2] + m[12 + r]);
    allNear('the matrix for WebGL agrees', [clip[0] / clip[3], clip[1] / clip[3], clip[3]], projectPoint(turned, p), 1e-5);
    const scene = sceneOf(evaluated('A B'), VIEW), view = cameraOf(front, scene.bounds, 1), q = scene.quads.find(f => f.path === '');
    check('the cell that is seen', pickCell(scene, view, projectPoint(view, along(along(q.origin, q.er, 1.5), q.ec, 2.5))),
        {path: '', row: 1, col: 2});
    check('nothing is there', pickCell(scene, view, [0.99, 0.99]), null);
    const side = cameraOf({...front, yaw: -90}, scene.bounds, 1), a = scene.quads.find(f => f.path === 'l');
    check('from the left', pickCell(scene, side, projectPoint(side, along(along(a.origin, a.er, 0.5), a.ec, 2.5))), {path: 'l', row: 0, col: 2});
}
