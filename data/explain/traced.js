// traced.js: a trace of `sample --trace` (safetensors.js) seen as a model: sizes, the tensors of a layer whatever the family
// calls them, the texts of tokens. Nothing outside the arguments is touched.
'use strict';

const TRACE_VERSION = '1';

// What each family calls the modules of a layer. qkv: one of three times the width, or three.
const MODULES = {
    gpt2: {layer: 'transformer.h.', qkv: ['attn.c_attn'], proj: 'attn.c_proj', fc: 'mlp.c_fc', act: 'mlp.act', out: 'mlp.c_proj',
        norms: ['ln_1', 'ln_2'], transposed: false},
    bert: {layer: 'bert.encoder.layer.', qkv: ['query', 'key', 'value'].map(n => `attention.self.${n}`), proj: 'attention.output.dense',
        fc: 'intermediate.dense', act: 'intermediate', out: 'output.dense', norms: ['attention.output.LayerNorm', 'output.LayerNorm'], transposed: true},
};
MODULES.roberta = {...MODULES.bert, layer: 'roberta.encoder.layer.'};

// {family, causal, L, H, C, T, V, eps, activation, tokens, texts, modules, trace}; throws where a tensor is missing or of
// another shape than the configuration gives.
function modelOfTrace(trace) {
    const version = trace.metadata['gptpipe.trace'], config = configOfTrace(trace), family = config.model_type;
    if (version !== TRACE_VERSION)
        throw new Error(`its trace is of version ${version ?? 'none'}, expected ${TRACE_VERSION}`);
    if (!Object.hasOwn(MODULES, family))
        throw new Error(`its trace is of a model of the family ${family}, expected ${Object.keys(MODULES).join(', ')}`);
    const L = config.n_layer ?? config.num_hidden_layers, H = config.n_head ?? config.num_attention_heads;
    const C = config.n_embd ?? config.hidden_size, T = needTensor(trace, 'tokens', [1, null]).shape[1];
    const m = {family, causal: family === 'gpt2', L, H, C, T, V: config.vocab_size, config, trace, texts: textsOfTrace(trace),
        eps: config.layer_norm_epsilon ?? config.layer_norm_eps, F: config.n_inner ?? config.intermediate_size ?? 4 * C,
        activation: config.activation_function ?? config.hidden_act, tokens: Array.from(trace.tensors.get('tokens').data), modules: MODULES[family]};
    m.predicts = trace.tensors.has('logits') && trace.tensors.has('lens.ids');
    m.hasWeights = [...trace.tensors.keys()].some(n => n.startsWith('weight.'));
    if (m.predicts)
        needTensor(trace, 'logits', [1, T, m.V]), needTensor(trace, 'lens.ids', [1, L + 1, T, null]), needTensor(trace, 'lens.probabilities', [1, L + 1, T, null]);
    for (let l = 0; l < L; l++)
        needTensor(trace, `hidden.${l}`, [1, T, C]), needTensor(trace, `attentions.${l}`, [1, H, T, T]);
    needTensor(trace, `hidden.${L}`, [1, T, C]);
    return m;
}

// A row of a tensor (..., width), a view.
function rowOf(tensor, row) {
    const width = tensor.shape[tensor.shape.length - 1];
    return tensor.data.subarray(row * width, (row + 1) * width);
}

// The output of a module of layer l: `name` is one of MODULES' members, or `norms` with its index.
function moduleName(m, l, name) {
    return `${m.modules.layer}${l}.${name}`;
}

function moduleOutput(m, l, name) {
    return needTensor(m.trace, moduleName(m, l, name), [1, m.T, null]);
}

// Parameter NAME.weight or .bias, null where the trace has no weights.
function weightOf(m, name) {
    return m.trace.tensors.get(`weight.${name}`) ?? null;
}

// The text of an id, with what cannot be seen made visible.
function textOfId(m, id) {
    const text = m.texts[id];
    return text === undefined ? `#${id}` : visible(text);
}

function visible(text) {
    return text.replace(/ /g, '\u2423').replace(/\n/g, '\u21b5').replace(/\t/g, '\u21e5').replace(/[\u0000-\u001f\u007f]/g, c => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`) || '\u2205';
}

function labelsOf(m) {
    return m.tokens.map(id => textOfId(m, id));
}

// The places of the mask token, by the names that BERT's and RoBERTa's tokenizers give it.
function maskPlaces(m) {
    return m.tokens.flatMap((id, t) => ['[MASK]', '<mask>'].includes(m.texts[id]) ? [t] : []);
}

// ---- norms --------------------------------------------------------------------------------------------------------

// The norms of layer l: [{key, label, parameters, input(t), output(t)}]. GPT-2 norms what a sublayer reads, the sum of all
// that came before it; BERT norms the sum of what a sublayer read and wrote (Xiong et al. 2020: pre-norm and post-norm).
function normsOf(m, l) {
    const hidden = n => needTensor(m.trace, `hidden.${n}`), sum = (t, ...list) => Float64Array.from(rowOf(list[0], t), (_, i) =>
        Math.fround(list.reduce((s, tensor) => s + rowOf(tensor, t)[i], 0)));
    const [first, second] = m.modules.norms, proj = moduleOutput(m, l, m.modules.proj), out = moduleOutput(m, l, m.modules.out);
    const norm = (key, label, name, output, ...inputs) => ({key, label, parameters: name, input: t => sum(t, ...inputs), output: t => rowOf(output, t)});
    const one = moduleName(m, l, first), two = moduleName(m, l, second);
    if (!m.causal)
        return [norm('first', 'after attention', one, moduleOutput(m, l, first), hidden(l), proj),
            norm('second', 'after the MLP', two, hidden(l + 1), moduleOutput(m, l, first), out)];
    const list = [norm('first', 'before attention', one, moduleOutput(m, l, first), hidden(l)),
        norm('second', 'before the MLP', two, moduleOutput(m, l, second), hidden(l), proj)];
    if (l === m.L - 1)
        list.push(norm('last', 'before the head', 'transformer.ln_f', hidden(m.L), hidden(l), proj, out));
    return list;
}

// Layer norm of token t computed here from its input, and the trace's: {x, gain, bias, mean, variance, normalized, y, traced,
// difference: the largest}. Without weights y and difference are null.
function normOfToken(m, norm, t) {
    const gain = weightOf(m, `${norm.parameters}.weight`)?.data ?? null, bias = weightOf(m, `${norm.parameters}.bias`)?.data ?? null;
    const x = norm.input(t), traced = norm.output(t), computed = layerNormOf(x, gain, bias, m.eps);
    const y = gain ? computed.y : null;
    return {...computed, x, gain, bias, traced, y, difference: y && y.reduce((d, v, i) => Math.max(d, Math.abs(v - traced[i])), 0)};
}

// ---- lens and logits ----------------------------------------------------------------------------------------------

// The most likely tokens after `layer` layers at position t: [{id, p}].
function lensOf(m, layer, t) {
    const ids = needTensor(m.trace, 'lens.ids'), p = needTensor(m.trace, 'lens.probabilities'), row = layer * m.T + t;
    return Array.from(rowOf(ids, row), (id, i) => ({id, p: rowOf(p, row)[i]}));
}

function logitsAt(m, t) {
    return rowOf(needTensor(m.trace, 'logits'), t);
}

// ---- parameters and FLOPs -----------------------------------------------------------------------------------------

// Rows {name, shape, count, decays} of convert-gpt2's --info --json. Matrices decay, norms and biases do not (train/optimizer.c).
function parametersOf(info) {
    return info.tensors.map(t => ({name: t.name, shape: t.shape, count: t.shape.reduce((a, b) => a * b, 1), decays: t.shape.length > 1}));
}

// By module, its layers together: [{name, shapes: [[what, shape], ...], layers, count}], in the order of their first tensor.
function modulesOf(parameters) {
    const modules = new Map();
    for (const p of parameters) {
        const [, name, kind] = /^(.*?)(?:\.(weight|bias))?$/.exec(p.name.replace(/(^|\.)(\d+)\./, '$1#.'));
        const m = modules.get(name) ?? {name, shapes: [], tensors: 0, count: 0};
        if (!m.shapes.some(s => s[0] === (kind ?? 'tensor')))
            m.shapes.push([kind ?? 'tensor', p.shape]);
        m.tensors++;
        m.count += p.count;
        modules.set(name, m);
    }
    return [...modules.values()].map(({tensors, ...m}) => ({...m, layers: tensors / m.shapes.length}));
}

// FLOPs of a token over T, of a forward pass, by op; as eval-mfu counts them: 2 a multiply and add, attention in full. The
// head is that which predicts tokens, where there is one.
function flopsOf(m, T) {
    const {L, C, V, F} = m;
    return [['query, key, value', 2 * L * 3 * C * C], ['scores and their sums of values', 4 * L * C * T], ['output projection', 2 * L * C * C],
        ['MLP', 2 * L * 2 * C * F], ...(m.predicts ? [['head', 2 * C * V + (m.causal ? 0 : 2 * C * C)]] : [])];
}
