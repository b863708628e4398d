// gpt_sections.js: what the nine sections of gpt.html show, each a function of the model (traced.js), the other files of the
// page and the state, to a list of elements.
'use strict';

const paragraph = (...children) => makeElement('p', {}, ...children);
const scrolled = table => makeElement('div', {class: 'scroll', tabindex: 0}, table);
const quoted = text => `\u201c${text}\u201d`;
const counted = (n, noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;

// Where the weights are in the trace, what was computed here from them is compared with the trace.
function differenceElement(what, difference) {
    return paragraph(difference === null ? 'The trace has no weights, as the model has 16 MB of them or more: nothing is computed again here.'
        : `${what}, computed here from the weights, differs from the trace by at most ${formatNumber(difference, 2)}.`);
}

function largestDifference(a, b) {
    return a.reduce((d, x, i) => Math.max(d, Math.abs(x - b[i])), 0);
}

// ---- 1. layer normalization ---------------------------------------------------------------------------------------

function drawNorm({m, state, labels}) {
    const norms = normsOf(m, state.layer), norm = norms.find(n => n.key === state.norm) ?? norms[0], n = normOfToken(m, norm, state.token);
    const points = row => Array.from(row, (y, x) => [x, y]), head = ['channel', 'x', 'x \u2212 \u03bc', '(x \u2212 \u03bc) / \u221a(\u03c3\u00b2 + \u03b5)', '\u03b3', '\u03b2', 'y'];
    const rows = Array.from(n.x.slice(0, 8), (x, i) => [i, x, x - n.mean, n.normalized[i], n.gain?.[i], n.bias?.[i], n.traced[i]].map((v, k) => k ? formatNumber(v, 6) : v));
    return [
        paragraph(`${norm.label[0].toUpperCase()}${norm.label.slice(1)} of layer ${state.layer}, of ${quoted(labels[state.token])}: \u03bc = ${formatNumber(n.mean, 6)}, \u03c3\u00b2 = ${formatNumber(n.variance, 6)}, \u03b5 = ${formatNumber(m.eps)}, 1 / \u221a(\u03c3\u00b2 + \u03b5) = ${formatNumber(n.rstd, 6)}.`),
        differenceElement('The output', n.difference),
        chartElement({title: 'Before and after the norm', x: 'channel', series: [
            {name: 'x', colour: 'var(--soft)', points: points(n.x)}, {name: 'y', colour: 'var(--c0)', points: points(n.traced)}]}),
        scrolled(tableElement(`The first ${rows.length} of ${counted(m.C, 'channel')}`, head, rows)),
    ];
}

// ---- 2. GELU ------------------------------------------------------------------------------------------------------

// Counts of the numbers in `bins` equal parts of [low, high]: [[middle, share], ...]; what lies outside counts in the last ones.
function histogram(data, low, high, bins) {
    const counts = new Array(bins).fill(0);
    for (const x of data)
        counts[Math.max(0, Math.min(bins - 1, Math.floor((x - low) / (high - low) * bins)))]++;
    return counts.map((n, i) => [low + (i + 0.5) * (high - low) / bins, n / data.length]);
}

function drawGelu({m, state, labels}) {
    const before = moduleOutput(m, state.layer, m.modules.fc), after = moduleOutput(m, state.layer, m.modules.act), f = ACTIVATIONS[m.activation];
    const x = rowOf(before, state.token), y = rowOf(after, state.token), grid = Array.from({length: 121}, (_, i) => (i - 60) / 12);
    const curves = [['GELU', gelu, 'var(--c0)'], ['GELU by tanh', geluTanh, 'var(--c1)'], ['ReLU', ACTIVATIONS.relu, 'var(--soft)']];
    const rows = Array.from(x.slice(0, 8), (v, i) => [i, formatNumber(v, 6), formatNumber(f(v), 6), formatNumber(y[i], 6)]);
    return [
        paragraph(`This model's activation is ${m.activation}. Of ${quoted(labels[state.token])} in layer ${state.layer}, computed here from the trace's input, it differs from the trace's output by at most ${formatNumber(largestDifference(Float64Array.from(x, f), y), 2)}; of ${counted(m.F, 'number')} ${x.reduce((n, v) => n + (v < 0), 0)} are negative.`),
        makeElement('div', {class: 'charts'},
            chartElement({title: 'The activation', x: 'x', series: curves.map(([name, g, colour]) => ({name, colour, points: grid.map(v => [v, g(v)])}))}),
            chartElement({title: 'What it reads in this layer', x: 'x', unit: 'share of the numbers', series: [
                {name: 'all tokens', colour: 'var(--soft)', points: histogram(before.data, -5, 5, 50)}, {name: labels[state.token], colour: 'var(--c0)', points: histogram(x, -5, 5, 50)}]})),
        scrolled(tableElement(`The first ${rows.length} of ${counted(m.F, 'number')}`, ['', 'x', 'activation, computed here', 'in the trace'], rows)),
    ];
}

// ---- 3. MLP -------------------------------------------------------------------------------------------------------

function drawMlp({m, state, labels}) {
    const {fc, act, out} = m.modules, tensor = name => moduleOutput(m, state.layer, name);
    const maps = [['What the first product gives', fc], ['After the activation', act], ['What the second product gives', out]];
    const weight = weightOf(m, `${moduleName(m, state.layer, out)}.weight`), bias = weightOf(m, `${moduleName(m, state.layer, out)}.bias`);
    const again = weight && linearOf(rowOf(tensor(act), state.token), weight.data, bias?.data, m.modules.transposed);
    return [
        paragraph(`Layer ${state.layer}: (T, C) = (${m.T}, ${m.C}) \u2192 (T, F) = (${m.T}, ${m.F}) \u2192 (${m.T}, ${m.F}) \u2192 (${m.T}, ${m.C}).`),
        differenceElement(`The second product of ${quoted(labels[state.token])}`, again && largestDifference(again, rowOf(tensor(out), state.token))),
        makeElement('div', {class: 'charts'}, ...maps.map(([title, name]) => heatElement({title, rows: m.T, columns: tensor(name).shape[2], data: tensor(name).data,
            rowLabels: labels, rowTitle: 'token', columnTitle: 'channels'}))),
    ];
}

// ---- 4. attention -------------------------------------------------------------------------------------------------

function headMap(m, layer, head) {
    return needTensor(m.trace, `attentions.${layer}`).data.subarray(head * m.T * m.T, (head + 1) * m.T * m.T);
}

function drawAttention({m, state, labels, change}) {
    const p = headMap(m, state.layer, state.head);
    const button = (_, h) => makeElement('button', {type: 'button', class: 'map', 'aria-pressed': String(h === state.head), onclick: () => change({head: h})},
        makeElement('img', {src: heatImage(headMap(m, state.layer, h), m.T, m.T, 1, null), alt: ''}), `head ${h}`);
    return [
        makeElement('div', {class: 'maps', role: 'group', 'aria-label': `Heads of layer ${state.layer}`}, ...Array.from({length: m.H}, button)),
        heatElement({title: `Layer ${state.layer}, head ${state.head}`, rows: m.T, columns: m.T, data: p, max: 1, rowLabels: labels, columnLabels: labels, rowTitle: 'token',
            columnTitle: 'tokens read', selected: [state.token, state.token], onpick: row => change({token: row}),
            read: (q, k) => `${quoted(labels[q])} (${q}) reads ${quoted(labels[k])} (${k}): ${formatNumber(p[q * m.T + k], 6)}`}),
        paragraph('A click, or Enter, selects the row\u2019s token.'),
    ];
}

// ---- 5. modules ---------------------------------------------------------------------------------------------------

function drawModules({files}) {
    const parameters = parametersOf(files.info), modules = modulesOf(parameters), total = parameters.reduce((n, p) => n + p.count, 0);
    const shape = ([what, dims]) => `${what} [${dims.join(', ')}]`;
    return [
        barsElement({title: 'Parameters by module', caption: 'share', percent: true,
            items: [...modules].sort((a, b) => b.count - a.count).slice(0, 12).map(g => ({label: g.name.replace(/^.*#\./, ''), value: g.count / total}))}),
        scrolled(tableElement(`${counted(parameters.length, 'tensor')}, ${total} parameters`, ['module', 'shapes', 'layers', 'parameters', 'share'],
            modules.map(g => [g.name, g.shapes.map(shape).join(', '), g.layers, g.count, `${formatNumber(100 * g.count / total, 3)}%`]))),
    ];
}

// ---- 6. head ------------------------------------------------------------------------------------------------------

const noHead = () => [paragraph('This model has no head that predicts tokens.')];

// The logit of token v at position t from the head's input and the embedding; null without weights.
function logitFromWeights(m, t, v) {
    const table = weightOf(m, 'lm_head.weight') ?? [...m.trace.tensors.entries()].find(([n]) => /^weight\..*(wte|word_embeddings)\.weight$/.test(n))?.[1];
    const input = m.trace.tensors.get('cls.predictions.transform.LayerNorm') ?? m.trace.tensors.get('lm_head.layer_norm') ?? needTensor(m.trace, `hidden.${m.L}`);
    const bias = weightOf(m, 'cls.predictions.bias') ?? weightOf(m, 'lm_head.bias');
    const w = table && rowOf(table, v);
    return w ? rowOf(input, t).reduce((sum, x, i) => sum + x * w[i], bias ? bias.data[v] : 0) : null;
}

function lensCell(m, {id, p}) {
    return `${textOfId(m, id)} ${formatNumber(100 * p, 3)}%`;
}

function drawHead({m, state, labels}) {
    if (!m.predicts)
        return noHead();
    const t = state.token, z = logitsAt(m, t), p = softmaxOf(z), top = largest(z, 10), again = logitFromWeights(m, t, top[0]), layers = Array.from({length: m.L + 1}, (_, l) => l);
    const name = l => l === 0 ? 'embedding' : l === m.L ? `layer ${l - 1}, the output` : `layer ${l - 1}`;
    const overview = layers.flatMap(l => labels.map((_, i) => lensOf(m, l, i)[0]));
    return [
        paragraph(`At ${quoted(labels[t])}, the largest logit is that of ${quoted(textOfId(m, top[0]))}: ${formatNumber(z[top[0]], 6)}.`, again === null ? '' : ` The product of the head\u2019s input with its row of the embedding, computed here, is ${formatNumber(again, 6)}.`),
        barsElement({title: `The most likely tokens at ${quoted(labels[t])}`, caption: 'probability', percent: true, items: top.map(id => ({label: textOfId(m, id), value: p[id]}))}),
        scrolled(tableElement(`Logit lens: each layer\u2019s ten most likely tokens at ${quoted(labels[t])}`, ['after', ...top.map((_, i) => String(i + 1))],
            layers.map(l => [name(l), ...lensOf(m, l, t).map(c => lensCell(m, c))]))),
        heatElement({title: 'Logit lens: the most likely token after each layer', rows: m.L + 1, columns: m.T, data: overview.map(c => c.p), max: 1, rowLabels: layers.map(l => l ? `layer ${l - 1}` : 'embedding'),
            columnLabels: labels, rowTitle: 'after', columnTitle: 'tokens', selected: [m.L, t],
            read: (l, i) => `after ${name(l)}, at ${quoted(labels[i])} (${i}): ${lensCell(m, overview[l * m.T + i])}`}),
    ];
}

// ---- 7. optimizer -------------------------------------------------------------------------------------------------

function drawOptimizer({files}) {
    const parameters = parametersOf(files.info), config = new Map(files.config), names = ['lr', 'min-lr', 'schedule', 'warmup', 'weight-decay', 'beta1', 'beta2', 'eps', 'grad-clip', 'layer-decay', 'freeze'];
    const row = (label, decay, list) => [label, decay, list.length, list.reduce((n, p) => n + p.count, 0)];
    const options = names.filter(n => config.has(n) && config.get(n) !== 'null').map(n => [n, config.get(n)]);
    return [
        scrolled(tableElement('Groups', ['group', 'weight decay', 'tensors', 'parameters'], [
            row('matrices', config.get('weight-decay') ?? '\u03bb', parameters.filter(p => p.decays)), row('gains and biases', 0, parameters.filter(p => !p.decays))])),
        options.length ? scrolled(tableElement('Options of this run', ['option', 'value'], options)) : paragraph('The checkpoint is no run of train: its options are not known.'),
        tableDetails(() => tableElement('Tensors', ['tensor', 'shape', 'parameters', 'decays'], parameters.map(p => [p.name, `[${p.shape.join(', ')}]`, p.count, p.decays ? 'yes' : 'no']))),
    ];
}

// ---- 8. FLOPs and MFU ---------------------------------------------------------------------------------------------

const PASSES = {forward: 1, train: 3, prefill: 1, decode: 1};

// Rows of a pass of eval-mfu's --json: utilization by the three conventions. 6N + 12LCT is that of training, a third of it
// that of a forward pass (Chowdhery et al. 2022, appendix B).
function mfuRow(m, mfu, pass) {
    const r = mfu[pass], estimate = PASSES[pass] * (2 * mfu.parameters + 4 * m.L * m.C * r.context), percent = x => Number.isFinite(x) ? `${formatNumber(100 * x, 4)}%` : '-';
    return [pass, `${r.batch} \u00d7 ${r.context}`, formatNumber(r.tok_s, 6), formatNumber(r.flops_token, 6), percent(r.mfu), percent(r.mfu_causal), percent(r.mfu * estimate / r.flops_token)];
}

function drawFlops({m, files}) {
    const mfu = files.mfu, T = mfu.forward?.context ?? m.T, ops = flopsOf(m, T), total = ops.reduce((n, o) => n + o[1], 0), passes = Object.keys(PASSES).filter(p => mfu[p]);
    return [
        barsElement({title: `FLOPs of a token, forward, over ${T} tokens`, caption: 'FLOPs', items: ops.map(([label, value]) => ({label, value}))}),
        paragraph(`Together ${formatNumber(total, 9)}; training takes three times as many.${m.causal || !m.predicts ? '' : ' eval-mfu counts the head for the masked tokens alone, as training computes it.'}`),
        scrolled(tableElement(`Measured by eval-mfu on ${mfu.device}, ${mfu.backend}, ${mfu.dtype}; peak ${formatNumber(mfu.peak_flops, 4)} FLOP/s`,
            ['pass', 'batch', 'tokens a second', 'FLOPs a token', 'MFU', 'causal by half', '6N + 12LCT'], passes.map(p => mfuRow(m, mfu, p)))),
    ];
}

// ---- 9. generation ------------------------------------------------------------------------------------------------

// What is drawn from at position t: {p, before: at temperature 1 without a filter, kept, shown: ids, next: the token that
// followed, or null, rank: its place, from 1}.
function distributionAt(m, state) {
    const z = logitsAt(m, state.token), {p, kept} = filteredDistribution(z, {temperature: state.temperature, topK: state.k, topP: state.p}), before = softmaxOf(z);
    const next = m.causal && state.token + 1 < m.T ? m.tokens[state.token + 1] : null, shown = largest(p.some(x => x > 0) ? before : p, 20);
    if (next !== null && !shown.includes(next))
        shown.push(next);
    return {p, before, kept, shown, next, rank: next === null ? null : 1 + before.reduce((n, x) => n + (x > before[next]), 0)};
}

function drawGeneration({m, state, labels, promptLength}) {
    if (!m.predicts)
        return noHead();
    const d = distributionAt(m, state), t = state.token, token = (label, i) => makeElement('span', {class: i === t ? 'token here' : i >= promptLength ? 'token made' : 'token'}, label);
    const followed = d.next === null ? '' : ` ${quoted(labels[t + 1])} followed, of rank ${d.rank}: ${formatNumber(100 * d.p[d.next], 4)}% here, ${formatNumber(100 * d.before[d.next], 4)}% at temperature 1.`;
    return [
        makeElement('p', {class: 'tokens'}, ...labels.map(token)),
        paragraph(`${counted(d.kept, 'token')} of ${m.V} remain; entropy ${formatNumber(entropyOf(d.p), 5)} nats, ${formatNumber(entropyOf(d.before), 5)} at temperature 1.${followed}`),
        barsElement({title: m.causal ? `After ${quoted(labels[t])}` : `In the place of ${quoted(labels[t])}`, caption: 'probability', percent: true,
            items: d.shown.map(id => ({label: textOfId(m, id), value: d.p[id], before: d.before[id], marked: id === d.next}))}),
    ];
}
