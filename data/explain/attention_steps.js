// attention_steps.js: the five steps from general attention to GPT-2's, each with its formula, shapes, the expression that
// the blocks show, and the lines of libcommon/backend/ref/ that compute it. Neither the document nor anything outside the
// arguments is touched.
'use strict';

// Formulas in MathML, put together from pieces.
const mi = t => `<mi>${t}</mi>`, mo = t => `<mo>${t}</mo>`, row = (...parts) => `<mrow>${parts.join('')}</mrow>`;
const transpose = t => `<msup>${mi(t)}<mi mathvariant="normal">T</mi></msup>`, root = t => `<msqrt>${t}</msqrt>`, sub = (a, b) => `<msub>${mi(a)}${b}</msub>`;
const call = (f, x) => row(`<mi mathvariant="normal">${f}</mi>`, mo('('), x, mo(')'));
const fraction = (a, b) => `<mfrac>${row(a)}${row(b)}</mfrac>`;
const math = content => `<math display="block">${row(content)}</math>`;
const product = row(mi('Q'), transpose('K')), mask = x => row(x, mo('+'), mi('M'));
const attentionFormula = scores => math(row(mi('out'), mo('='), call('softmax', scores), mi('V')));
const headOf = t => sub(t, mi('h'));

const ATTENTION_STEPS = [
    {
        title: 'General', one: true, mask: false, divisor: '',
        formula: attentionFormula(product),
        text: 'Each token t asks with its query q[t]; the scores are its products with the keys of all tokens. Softmax makes weights of a row of scores, which are positive and have the sum 1, and the output is the mean of the values by these weights. All channels are one head here.',
        code: [['attention.c', 'p[k] = scale * dot(q, keys + k * stride, D);'], ['attention.c', 'sum += p[k] = exp(p[k] - max);'], ['attention.c', 'sum[d] += p[k] * values[k * stride + d];']],
    },
    {
        title: 'Causal', one: true, mask: true, divisor: '',
        formula: attentionFormula(mask(product)) + math(row(sub('M', row(mi('t'), mi('u'))), mo('='), `<mn>0</mn>`, mo('('), mi('u'), mo('≤'), mi('t'), mo(')'), mo(','), mo('−'), mi('∞'), mo('('), mi('u'), mo('>'), mi('t'), mo(')'))),
        text: 'A model that predicts the next token must not see it: a token reads itself and what is before it. The scores above the diagonal become −∞, of which softmax makes 0. This code visits no key that is masked.',
        code: [['attention.c', 'int64_t count = op->causal ? q + 1 : T;'], ['attention.c', 'for (int64_t k = 0; k < count; k++) {']],
    },
    {
        title: 'Scaled', one: true, mask: true, divisor: 'sqrt(C)',
        formula: attentionFormula(mask(fraction(product, root(mi('C'))))),
        text: 'A score is a sum of C products and grows as √C where these are independent; divided by √C it keeps its size, and softmax does not become a choice of one. nanoGPT\'s notebook divides by √n_embd, GPT-2 by √(head size): with one head the head size is n_embd, so the two are the same here. With several heads only the head size counts (the next step).',
        code: [['backend.h', 'return divisor > 0 ? divisor : sqrt((double)D);'], ['attention.c', 'double scale = 1 / divisor, max = -INFINITY, sum = 0;']],
    },
    {
        title: 'Several heads', one: false, mask: true, divisor: 'sqrt(D)',
        formula: math(row(sub('out', mi('h')), mo('='), call('softmax', mask(fraction(row(headOf('Q'), `<msubsup>${mi('K')}${mi('h')}<mi mathvariant="normal">T</mi></msubsup>`), root(mi('D'))))), headOf('V'))) + math(row(mi('D'), mo('='), mi('C'), mo('/'), mi('H'))),
        text: 'The C channels of queries, keys and values are cut into H heads of D = C / H channels. Each head has its own weights over the tokens and gives its own D channels of the output; the scores are sums of D products, so they are divided by √D.',
        code: [['attention.c', 'const real *row = qkv + b * T * 3 * C + h * D;'], ['attention.c', 'double divisor = gp_scores_divisor(op->divisor, D);']],
    },
    {
        title: 'Output projection', one: false, mask: true, divisor: 'sqrt(D)', projection: true,
        formula: math(row(mi('y'), mo('='), row(mo('['), sub('out', `<mn>1</mn>`), mo(','), mo('…'), mo(','), sub('out', mi('H')), mo(']')), sub('W', mi('O')), mo('+'), sub('b', mi('O')), mo('='), `<munder>${mo('∑')}${mi('h')}</munder>`, sub('out', mi('h')), `<msubsup>${mi('W')}${mi('O')}${mi('h')}</msubsup>`, mo('+'), sub('b', mi('O')))),
        text: 'The heads\' outputs, side by side, are multiplied by W_O, which mixes them: each head\'s D rows of W_O say what it adds to the token. That sum, with the bias, is what attention adds to the residual stream.',
        code: [['matmul.c', 'out[c] = (real)(sum[r][c] + (p->bias ? p->bias[c0 + c] : 0) + (p->add ? out[c] : 0));']],
    },
];

// The expression of a step: that of BERT, whose tokens see each other, has no tril after the step that explains it.
function expressionOfStep(step, attention) {
    const masked = step.mask && (attention.causal || !step.divisor);
    const other = !step.one && Math.abs(attention.divisor - Math.sqrt(attention.D)) > 1e-9;
    const scores = `Q K^T${step.divisor ? ` / ${other ? 'divisor' : step.divisor}` : ''}`;
    const attn = `(attn = softmax(${masked ? `tril(${scores})` : scores}))`;
    return `out = ${attn} V${step.projection && attention.weights ? ' wO' : ''}`;
}

// Rows [name, shape, meaning] of what a step reads and gives.
function shapesOfStep(step, attention) {
    const {T, C, H, D} = attention, width = step.one ? C : D, of = step.one ? '' : ' of a head';
    return [['Q, K, V' + of, `[${T}, ${width}]`, 'queries, keys, values'], ['Q K^T' + of, `[${T}, ${T}]`, 'scores: a row for each query, a column for each key'],
        ['attn' + of, `[${T}, ${T}]`, 'weights'], ['attn V' + of, `[${T}, ${width}]`, 'output'],
        ...(step.one ? [] : [['all heads', `[${H}, ${T}, ${D}] = [${T}, ${C}]`, 'outputs side by side']]),
        ...(step.projection ? [['wO', `[${C}, ${C}]`, `weights; a head has ${D} rows of them`], ['y', `[${T}, ${C}]`, 'what attention adds']] : [])];
}
