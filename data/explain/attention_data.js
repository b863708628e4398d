// attention_data.js: what attention computes in one layer, from a trace of GPT-2, BERT or RoBERTa or from a built-in example.
// Neither the document nor anything outside the arguments is touched.
'use strict';

// ---- the built-in example, [B, T, C] = [1, 5, 2] ----------------------------------------------------------------

// Small whole numbers, so that they can be followed by hand: five tokens of four words, two channels, two heads.
const EXAMPLE = {
    words: ['the', 'cat', 'saw', 'dog'], tokens: [0, 1, 2, 0, 3],
    wte: [[1, 0], [0, 1], [1, 1], [-1, 1]], wpe: [[0, 0], [1, 0], [0, 1], [1, 1], [1, 0]],
    wQ: [[1, 0], [1, 1]], wK: [[0, 1], [1, 0]], wV: [[2, 0], [0, 1]], wO: [[1, -1], [1, 1]], heads: 2,
};

// The example as the trace of a GPT-2 without norms and MLP: x = wte + wpe, and attention's tensors from there.
function exampleTrace(e = EXAMPLE) {
    const tensors = new Map(), put = (name, shape, data) => tensors.set(name, {dtype: 'F32', shape, data});
    const T = e.tokens.length, C = e.wte[0].length, H = e.heads, D = C / H;
    const x = matrixOfRows(e.tokens.map((id, t) => e.wte[id].map((v, c) => v + e.wpe[t][c])));
    const attn = matrixOfRows(e.wQ.map((row, c) => [...row, ...e.wK[c], ...e.wV[c]])), qkv = multiply(x, attn);
    tensors.set('tokens', {dtype: 'I32', shape: [1, T], data: Int32Array.from(e.tokens)});
    put('hidden.0', [1, T, C], x.data);
    put('transformer.h.0.attn.c_attn', [1, T, 3 * C], qkv.data);
    const probabilities = [], context = makeMatrix(T, C);
    for (let h = 0; h < H; h++) {
        const part = i => columnsOf(qkv, i * C + h * D, D);
        const p = applyEpilogue(multiply(part(0), transposed(part(1))), ['/ sqrt(D)', 'tril', 'softmax'], {D}), out = multiply(p, part(2));
        probabilities.push(...p.data);
        for (let i = 0; i < T * D; i++)
            context.data[Math.floor(i / D) * C + h * D + i % D] = out.data[i];
    }
    put('attentions.0', [1, H, T, T], Float64Array.from(probabilities));
    put('context.0', [1, T, C], context.data);
    put('transformer.h.0.attn.c_proj', [1, T, C], multiply(context, matrixOfRows(e.wO)).data);
    put('weight.transformer.wte.weight', [e.wte.length, C], Float64Array.from(e.wte.flat()));
    put('weight.transformer.wpe.weight', [e.wpe.length, C], Float64Array.from(e.wpe.flat()));
    put('weight.transformer.h.0.attn.c_attn.weight', [C, 3 * C], attn.data);
    put('weight.transformer.h.0.attn.c_proj.weight', [C, C], Float64Array.from(e.wO.flat()));
    const config = {model_type: 'gpt2', n_layer: 1, n_head: H, n_embd: C};
    return {metadata: {'gptpipe.config': JSON.stringify(config), 'gptpipe.texts': JSON.stringify(e.words)}, tensors};
}

// ---- names ------------------------------------------------------------------------------------------------------

// How many layers a trace has, and what their modules are called: {family, causal, layers, modules: one of MODULES, block(l):
// what a layer's names begin with, of(l): {input: what q, k and v are made of, qkv, projection}}.
function attentionModules(trace) {
    const layers = [...trace.tensors.keys()].filter(n => /^attentions\.\d+$/.test(n)).length;
    if (!layers)
        throw new Error('the trace has no attention in it');
    const family = configOfTrace(trace).model_type;
    if (!Object.hasOwn(MODULES, family))
        throw new Error(`the trace is of a model of the family ${family}, expected ${Object.keys(MODULES).join(', ')}`);
    const modules = MODULES[family], causal = family === 'gpt2', block = l => `${modules.layer}${l}.`;
    return {family, causal, layers, modules, block, of: l => {
        const norm = block(l) + modules.norms[0];
        return {input: causal && trace.tensors.has(norm) ? norm : `hidden.${l}`, qkv: modules.qkv.map(n => block(l) + n),
            projection: block(l) + modules.proj};
    }};
}

function matrixOfTensor(tensor) {
    const cols = tensor.shape[tensor.shape.length - 1];
    return makeMatrix(tensor.data.length / cols, cols, Float64Array.from(tensor.data));
}

// The weight and bias of a module as {weight: matrix [in, out], bias: matrix [1, out]}, null where the trace has none, as of
// models above 16 MB. In GPT-2 a weight is stored as [in, out], in BERT as [out, in].
function linearParameters(trace, module, causal) {
    const weight = trace.tensors.get(`weight.${module}.weight`), bias = trace.tensors.get(`weight.${module}.bias`);
    if (!weight)
        return null;
    const w = causal ? matrixOfTensor(weight) : transposed(matrixOfTensor(weight));
    return {weight: w, bias: bias ? makeMatrix(1, w.cols, Float64Array.from(bias.data)) : makeMatrix(1, w.cols)};
}

// What the scores are divided by: sqrt(D), unless the configuration says otherwise.
function divisorOfLayer(config, layer, D) {
    const root = config.scale_attn_weights === false ? 1 : Math.sqrt(D);
    return root * (config.scale_attn_by_inverse_layer_idx === true ? layer + 1 : 1);
}

function tokenLabels(trace) {
    const texts = textsOfTrace(trace);
    return [...needTensor(trace, 'tokens').data].map(id => texts[id] === undefined ? `#${id}` : visible(texts[id]));
}

// ---- one layer --------------------------------------------------------------------------------------------------

// {T, C, H, D, causal, divisor, labels, example: whether it is the built-in one, input: what x is in follow.js, x, Q, K, V
// (T,C), weights: {wQ, wK, wV, wO, bO} or null, probabilities: H of (T,T), context, projection (T,C)}. Where there are
// biases, x has a column of ones at its end and each of wQ, wK, wV its bias as its last row, so that x wQ is Q.
function attentionOf(trace, layer) {
    const modules = attentionModules(trace), names = modules.of(layer), tokens = needTensor(trace, 'tokens', [1, null]), T = tokens.shape[1];
    const C = needTensor(trace, names.input, [1, T, null]).shape[2], H = needTensor(trace, `attentions.${layer}`, [1, null, T, T]).shape[1];
    if (C % H)
        throw new Error(`${H} heads do not divide ${C} channels`);
    const fused = names.qkv.length === 1, outputs = names.qkv.map(n => matrixOfTensor(needTensor(trace, n, [1, T, fused ? 3 * C : C])));
    const [Q, K, V] = fused ? [0, 1, 2].map(i => columnsOf(outputs[0], i * C, C)) : outputs;
    const parameters = [...names.qkv, names.projection].map(n => linearParameters(trace, n, modules.causal));
    let x = matrixOfTensor(needTensor(trace, names.input)), weights = null;
    if (parameters.every(p => p)) {
        const biased = parameters.slice(0, -1).some(p => p.bias.data.some(v => v !== 0));
        const whole = parameters.map(p => biased ? stacked(p.weight, p.bias) : p.weight), output = parameters[parameters.length - 1];
        const [wQ, wK, wV] = fused ? [0, 1, 2].map(i => columnsOf(whole[0], i * C, C)) : whole;
        x = biased ? transposed(stacked(transposed(x), makeMatrix(1, T, new Float64Array(T).fill(1)))) : x;
        weights = {wQ, wK, wV, wO: output.weight, bO: output.bias};
    }
    const p = needTensor(trace, `attentions.${layer}`).data;
    return {T, C, H, D: C / H, causal: modules.causal, divisor: divisorOfLayer(configOfTrace(trace), layer, C / H), labels: tokenLabels(trace),
        example: trace.metadata['gptpipe.trace'] === undefined, input: names.input.startsWith('hidden') ? 'hidden' : 'norm1', x, Q, K, V, weights,
        probabilities: Array.from({length: H}, (_, h) => makeMatrix(T, T, Float64Array.from(p.subarray(h * T * T, (h + 1) * T * T)))),
        context: matrixOfTensor(needTensor(trace, `context.${layer}`, [1, T, C])),
        projection: matrixOfTensor(needTensor(trace, names.projection, [1, T, C]))};
}

// The matrices that an expression may name: of all channels as one head, or (head >= 0) of that head.
function givenOf(attention, head) {
    const {x, Q, K, V, weights, C, D, divisor} = attention, part = m => head < 0 ? m : columnsOf(m, head * D, D);
    const matrices = {x, Q: part(Q), K: part(K), V: part(V)};
    if (weights)
        Object.assign(matrices, {wQ: part(weights.wQ), wK: part(weights.wK), wV: part(weights.wV),
            wO: head < 0 ? weights.wO : rowsOf(weights.wO, head * D, D)});
    return {matrices, scalars: {D: head < 0 ? C : D, C, divisor}};
}

// Attention of all heads computed here: {heads: [{scores, attn, out}], context (T,C), projection (T,C) or null}.
function computeHeads(attention) {
    const {T, C, H, D, causal, divisor, weights} = attention, context = makeMatrix(T, C);
    const heads = Array.from({length: H}, (_, h) => {
        const {matrices} = givenOf(attention, h), scores = mapped(multiply(matrices.Q, transposed(matrices.K)), v => v / divisor);
        const attn = applyEpilogue(scores, causal ? ['tril', 'softmax'] : ['softmax'], {}), out = multiply(attn, matrices.V);
        for (let t = 0; t < T; t++)
            context.data.set(out.data.subarray(t * D, (t + 1) * D), t * C + h * D);
        return {scores, attn, out};
    });
    const projection = weights ? mappedRows(multiply(context, weights.wO), row => row.forEach((v, i) => row[i] = v + weights.bO.data[i])) : null;
    return {heads, context, projection};
}

// The largest difference of two matrices of one shape.
function largestDifference(a, b) {
    return a.data.reduce((most, v, i) => Math.max(most, Math.abs(v - b.data[i])), 0);
}
