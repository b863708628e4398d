// explain_layers.js: the functions of layers.js, heat.js and traced.js. `golden` is tests/golden/explain.json, from PyTorch and
// transformers; other expected values are from arithmetic on paper.
function testLayers() {
    const g = golden.functions;
    allNear('gelu', g.x.map(gelu), g.gelu, 1e-14);
    allNear('gelu by tanh', g.x.map(geluTanh), g.gelu_tanh, 1e-14);
    check('activations', ['relu', 'tanh'].map(n => ACTIVATIONS[n](-2)), [0, Math.tanh(-2)]);
    allNear('layer norm', [...layerNormOf(g.row, g.gain, g.bias, 1e-5).y], g.norm, 1e-14);
    const plain = layerNormOf([1, 3], null, null, 0);
    check('without gain and bias', [plain.mean, plain.variance, plain.rstd, ...plain.y], [2, 1, 1, -1, 1]);
    const row = Float64Array.of(1, 3);
    normalizeRow(row, 0);
    check('in place', [...row], [-1, 1]);
    check('softmax of large numbers', [...softmaxOf([1000, 1000])], [0.5, 0.5]);
    check('softmax of nothing', [...softmaxOf([-Infinity, -Infinity])], [0, 0]);
    near('sigmoid', sigmoid(Math.log(3)), 0.75);
    // [1, 2] [[1, 2, 3], [4, 5, 6]] + [1, 0, 0]
    check('linear', [...linearOf([1, 2], [1, 2, 3, 4, 5, 6], [1, 0, 0], false)], [10, 12, 15]);
    check('linear, stored transposed', [...linearOf([1, 2], [1, 4, 2, 5, 3, 6], null, true)], [9, 12, 15]);
}

function testDistributions() {
    const g = golden.functions;
    for (const c of g.cases) {
        const {p, kept} = filteredDistribution(g.logits, c);
        allNear(`temperature ${c.temperature}, top-k ${c.topK}, top-p ${c.topP}`, [...p], c.p, 1e-14);
        check('how many remain', kept, c.p.filter(x => x > 0).length);
    }
    check('temperature 0', [...filteredDistribution([1, 3, 3], {temperature: 0, topK: 0, topP: 1}).p], [0, 1, 0]);
    near('entropy', entropyOf(softmaxOf(g.logits)), g.entropy, 1e-14);
    check('entropy of a certain token', entropyOf([0, 1]), 0);
    check('largest', [largest([3, 9, 9, 1], 3), largest([2], 5), largest([], 2)], [[1, 2, 0], [0], []]);
}

function testHeatMaps() {
    check('largest size', [largestSize([1, -3, Infinity, NaN]), largestSize([])], [3, 0]);
    const moves = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'Home', 'End', 'PageUp', 'PageDown', 'x'];
    check('keys', moves.map(k => heatStep([0, 1], k, 3, 2)), [[0, 1], [1, 1], [0, 0], [0, 1], [0, 0], [0, 1], [0, 1], [2, 1], null]);
    const g = heatLayout(2, 4, 640, ['a', 'b'], null);
    check('cells are square where there is room', [g.cell, g.height, g.right - g.left, g.bottom - g.top], [40, 40, 160, 80]);
    const many = heatLayout(64, 3072, 640, null, null);
    check('many fit', [many.right <= 640, many.bottom < 560, many.everyRow > 1, many.everyColumn > 1], [true, true, true, true]);
    check('a reading', [readCell({data: [1, 2], columns: 2, rowLabels: ['a']}, 0, 1), readCell({read: (r, c) => `${r} ${c}`}, 0, 1)], ['a, 1: 2', '0 1']);
}

// A model of one layer, two heads, two channels, three tokens; hidden.0 counts from 0, hidden.1 is ten times that.
function tinyTrace(changes = {}) {
    const t = (shape, f) => ({dtype: 'F32', shape, data: Float32Array.from({length: shape.reduce((a, b) => a * b)}, (_, i) => f(i))});
    const config = {model_type: 'gpt2', n_layer: 1, n_head: 2, n_embd: 2, n_inner: 4, vocab_size: 5, layer_norm_epsilon: 0, activation_function: 'gelu_new'};
    return {metadata: {'gptpipe.trace': '1', 'gptpipe.config': JSON.stringify(config), 'gptpipe.texts': '["a", " b", "\\n"]', ...changes.metadata},
        tensors: new Map(Object.entries({
            tokens: {dtype: 'I32', shape: [1, 3], data: Int32Array.of(0, 1, 4)},
            'hidden.0': t([1, 3, 2], i => i), 'hidden.1': t([1, 3, 2], i => 10 * i), 'attentions.0': t([1, 2, 3, 3], i => i),
            'transformer.h.0.ln_1': t([1, 3, 2], i => i % 2 ? 1 : -1), 'transformer.h.0.ln_2': t([1, 3, 2], i => i),
            'transformer.h.0.attn.c_proj': t([1, 3, 2], i => 100 * i), 'transformer.h.0.mlp.c_proj': t([1, 3, 2], i => 1000 * i),
            logits: t([1, 3, 5], i => i), 'lens.ids': {dtype: 'I32', shape: [1, 2, 3, 2], data: Int32Array.from({length: 12}, (_, i) => i % 5)},
            'lens.probabilities': t([1, 2, 3, 2], i => 1 / (i + 1)), ...changes.tensors}).filter(e => e[1])),
    };
}

function testTracedModel() {
    const m = modelOfTrace(tinyTrace());
    check('sizes', [m.L, m.H, m.C, m.T, m.V, m.F, m.causal, m.predicts, m.hasWeights], [1, 2, 2, 3, 5, 4, true, true, false]);
    check('texts', labelsOf(m), ['a', '\u2423b', '#4']);
    check('what cannot be seen', ['\n', '\t', '\u0001', ''].map(visible), ['\u21b5', '\u21e5', '\\x01', '\u2205']);
    check('a row', [...rowOf(m.trace.tensors.get('hidden.0'), 2)], [4, 5]);
    check('logits', [...logitsAt(m, 1)], [5, 6, 7, 8, 9]);
    check('the lens', lensOf(m, 1, 2).map(x => x.id), [0, 1]);
    const norms = normsOf(m, 0);
    check('norms', norms.map(n => n.key), ['first', 'second', 'last']);
    check('what they read', norms.map(n => [...n.input(2)]), [[4, 5], [404, 505], [4404, 5505]]);
    const n = normOfToken(m, norms[0], 2);
    check('without weights', [n.mean, n.y, n.difference, [...n.traced]], [4.5, null, null, [-1, 1]]);
    const weights = {'weight.transformer.h.0.ln_1.weight': {data: Float32Array.of(2, 2)}, 'weight.transformer.h.0.ln_1.bias': {data: Float32Array.of(0, 1)}};
    const w = modelOfTrace(tinyTrace({tensors: weights}));
    check('with weights', [w.hasWeights, [...normOfToken(w, normsOf(w, 0)[0], 2).y], normOfToken(w, normsOf(w, 0)[0], 2).difference], [true, [-2, 3], 2]);
    check('masks', maskPlaces(modelOfTrace(tinyTrace({metadata: {'gptpipe.texts': '["x", "[MASK]", "", "", "<mask>"]'}}))), [1, 2]);
    refuses('another version', () => modelOfTrace(tinyTrace({metadata: {'gptpipe.trace': '2'}})), 'of version 2, expected 1');
    refuses('another family', () => modelOfTrace(tinyTrace({metadata: {'gptpipe.config': '{"model_type": "llama"}'}})), 'of the family llama');
    refuses('a name that is missing', () => modelOfTrace(tinyTrace({tensors: {'attentions.0': null}})), 'no tensor attentions.0');
    refuses('another shape', () => modelOfTrace(tinyTrace({tensors: {'hidden.1': {dtype: 'F32', shape: [1, 3, 4], data: []}}})), 'hidden.1');
    check('without head', modelOfTrace(tinyTrace({tensors: {logits: null, 'lens.ids': null}})).predicts, false);
}

function testParameters() {
    const rows = parametersOf({tensors: ['wte.weight [5,2]', 'h.0.ln.weight [2]', 'h.0.ln.bias [2]', 'h.0.fc.weight [2,8]', 'h.1.ln.weight [2]', 'h.1.ln.bias [2]']
        .map(t => ({name: t.split(' ')[0], shape: JSON.parse(t.split(' ')[1])}))});
    check('counts', rows.map(r => r.count), [10, 2, 2, 16, 2, 2]);
    check('what decays', rows.filter(r => r.decays).map(r => r.name), ['wte.weight', 'h.0.fc.weight']);
    check('modules', modulesOf(rows).map(m => [m.name, m.layers, m.count, m.shapes]),
        [['wte', 1, 10, [['weight', [5, 2]]]], ['h.#.ln', 2, 8, [['weight', [2]], ['bias', [2]]]], ['h.#.fc', 1, 16, [['weight', [2, 8]]]]]);
    // 2 (C 3C + C C + 2 C F) + 4 C T + 2 C V, of C 2, F 4, T 3, V 5
    check('FLOPs without such a head', flopsOf(modelOfTrace(tinyTrace({tensors: {logits: null, 'lens.ids': null}})), 3).map(f => f[1]), [24, 24, 8, 32]);
    check('FLOPs', flopsOf(modelOfTrace(tinyTrace()), 3).map(f => f[1]), [24, 24, 8, 32, 20]);
}
