// attention.js: the page that shows attention step by step, with the numbers of a trace or of the built-in example.
'use strict';

const ATTENTION_DEFAULTS = {step: 1, layer: 0, head: 0, ...BLOCKS_DEFAULTS, ...FOLLOW_DEFAULTS};

// The state with what this trace does not have replaced by what it has.
function allowedState(state, layers, heads) {
    const whole = (value, low, high) => Math.min(high, Math.max(low, Math.round(value)));
    return {...allowedBlocks(state), step: whole(state.step, 1, ATTENTION_STEPS.length), layer: whole(state.layer, 0, layers - 1),
        head: whole(state.head, 0, heads - 1)};
}

function cellText(value) {
    return value === -Infinity ? '−∞' : formatNumber(value, 5);
}

// ---- the numbers of a step --------------------------------------------------------------------------------------

// What a step shows: [{title, matrix, rows: labels, columns: labels}].
function matricesOfStep(step, attention, head) {
    const {matrices, scalars} = givenOf(attention, step.one ? -1 : head), tree = evaluate(parseExpression(expressionOfStep(step, attention)),
        {matrices, scalars});
    const labels = attention.labels, width = matrices.Q.cols, channels = Array.from({length: attention.C}, (_, c) => `c${c}`);
    const own = step.one ? channels : channels.slice(head * width, (head + 1) * width);
    const attn = nodesOf(tree).find(n => n.node.name === 'attn').node, epilogue = attn.epilogue.filter(e => e !== 'softmax');
    const scores = printExpression({...attn, name: '', epilogue});
    const list = [['Q', matrices.Q, own], ['K', matrices.K, own], ['V', matrices.V, own],
        [scores, applyEpilogue(attn.raw, epilogue, scalars), labels],
        ['attn', attn.value, labels]].map(([title, matrix, columns]) => ({title, matrix, rows: labels, columns}));
    const out = step.projection && attention.weights ? `out: head ${head}'s part of y` : 'out';
    const y = step.projection && attention.example ? [{title: 'y', matrix: computeHeads(attention).projection, rows: labels, columns: channels}] : [];
    return [...list, {title: out, matrix: tree.value, rows: labels, columns: tree.value.cols === attention.C ? channels : own}, ...y];
}

// What the trace has of a step, beside what this page computed from its q, k and v: [{title, here, trace, columns}]. The example is
// no trace: all of it was computed here.
function comparisonsOfStep(step, attention, head) {
    if (step.one || attention.example)
        return [];
    const computed = computeHeads(attention), {C, D, labels} = attention, channels = Array.from({length: C}, (_, c) => `c${c}`),
        own = channels.slice(head * D, (head + 1) * D);
    const list = [{title: `attn of head ${head}`, here: computed.heads[head].attn, trace: attention.probabilities[head], columns: labels},
        {title: `out of head ${head}`, here: computed.heads[head].out, trace: columnsOf(attention.context, head * D, D), columns: own}];
    return step.projection && computed.projection ? [...list, {title: 'y', here: computed.projection, trace: attention.projection,
        columns: channels}] : list;
}

const FEW = 144;

// Few numbers as a table, many as a map with its table behind it.
function numbersElement(title, matrix, rows, columns) {
    const {data} = matrix;
    if (data.length > FEW)
        return heatElement({title, rows: matrix.rows, columns: matrix.cols, data, rowLabels: rows, columnLabels: columns, digits: 3});
    const body = rows.map((label, r) => [label, ...Array.from(data.subarray(r * matrix.cols, (r + 1) * matrix.cols), cellText)]);
    return makeElement('div', {class: 'scroll', tabindex: 0}, tableElement(title, ['', ...columns], body));
}

// ---- elements ---------------------------------------------------------------------------------------------------

function tabsElement(state, change) {
    const tab = (step, i) => makeElement('button', {type: 'button', role: 'tab', id: `tab${i + 1}`, 'aria-controls': 'panel',
        'data-key': `step${i + 1}`,
        'aria-selected': String(state.step === i + 1), tabindex: state.step === i + 1 ? 0 : -1,
            onclick: () => change({step: i + 1}, `step${i + 1}`)}, `${i + 1} ${step.title}`);
    const moves = {ArrowLeft: s => s - 1, ArrowRight: s => s + 1, Home: () => 1, End: () => ATTENTION_STEPS.length};
    return makeElement('div', {role: 'tablist', 'aria-label': 'Steps', onkeydown: e => {
        const step = moves[e.key] && Math.min(ATTENTION_STEPS.length, Math.max(1, moves[e.key](state.step)));
        if (step) {
            e.preventDefault();
            change({step}, `step${step}`);
        }
    }}, ...ATTENTION_STEPS.map(tab));
}

function selectElement(label, key, values, value, change) {
    return makeElement('label', {}, label, makeElement('select', {'data-key': key,
        onchange: e => change({[key]: typeof value === 'number' ? Number(e.target.value) : e.target.value}, key)},
        ...values.map(([v, text]) => makeElement('option', {value: v, selected: v === value}, text))));
}

function layerControls(state, attention, layers, change) {
    const numbers = n => Array.from({length: n}, (_, i) => [i, String(i)]);
    return makeElement('form', {class: 'controls', onsubmit: e => e.preventDefault()},
        selectElement('Layer', 'layer', numbers(layers), state.layer, change),
        selectElement('Head (steps 4 and 5)', 'head', numbers(attention.H), state.head, change));
}

// Who reads whom; a cell is followed.
function mapElement(step, attention, matrices, change) {
    const {matrix} = matrices.find(m => m.title === 'attn'), path = nodesOf(parseExpression(expressionOfStep(step,
        attention))).find(n => n.node.name === 'attn').path;
    return heatElement({title: 'Attention map', rows: attention.T, columns: attention.T, data: matrix.data, rowLabels: attention.labels,
        columnLabels: attention.labels, rowTitle: 'queries', columnTitle: 'keys',
        max: 1, digits: 3, onpick: (row, col) => change({...ANOTHER_EXPRESSION, expr: '', ...spotted(textOfSpot({path, row, col}))}, 'trail')});
}

function stepElement(step, state, attention, change) {
    const matrices = matricesOfStep(step, attention, state.head);
    const formula = makeElement('div', {});
    formula.innerHTML = step.formula; // a constant of attention_steps.js
    const named = {backend: 'backend.h', ref: 'ref/'};
    const code = step.code.map(([file, line]) => `${file.endsWith('.h') ? named.backend : named.ref + file}: ${line}`).join('\n');
    const compared = comparisonsOfStep(step, attention, state.head);
    return makeElement('section', {role: 'tabpanel', id: 'panel', 'aria-labelledby': `tab${state.step}`},
        makeElement('h2', {}, `Step ${state.step}: ${step.title.toLowerCase()}`), formula, makeElement('p', {}, step.text),
        makeElement('div', {class: 'scroll'}, tableElement('Shapes', ['', 'shape', ''], shapesOfStep(step, attention))),
        makeElement('p', {class: 'soft'}, 'In this project\'s plain loops, libcommon/backend/:'), makeElement('pre', {class: 'code'}, code),
        makeElement('h2', {}, expressionOfStep(step, attention)),
        makeElement('div', {class: 'matrices'}, ...matrices.filter(m => m.title !== 'attn' || m.matrix.data.length <= FEW).map(m => numbersElement(m.title, m.matrix, m.rows, m.columns)),
            mapElement(step, attention, matrices, change)),
        ...(compared.length ? [comparisonElement(compared, attention)] : []),
        ...(step.projection && !attention.weights ? tracedProjection(attention) : []));
}

// y as the model computed it, where the trace has no weights to do that here.
function tracedProjection({C, labels, projection}) {
    return [makeElement('p', {class: 'soft'}, 'The trace has no weights, as those of this model take more than 16 MB: y is shown as the model computed it.'),
        makeElement('div', {class: 'matrices'}, numbersElement('y, trace', projection, labels, Array.from({length: C}, (_, c) => `c${c}`)))];
}

function comparisonElement(compared, attention) {
    return makeElement('section', {}, makeElement('h2', {}, 'Computed here, and in the trace'), ...compared.map(c => makeElement('div', {},
        makeElement('p', {}, `${c.title}: the largest difference is ${formatNumber(largestDifference(c.here, c.trace), 2)}.`),
        makeElement('div', {class: 'matrices'}, numbersElement(`${c.title}, here`, c.here, attention.labels, c.columns),
            numbersElement(`${c.title}, trace`, c.trace, attention.labels, c.columns)))));
}

// ---- the page ---------------------------------------------------------------------------------------------------

// The trace that the page carries; pipelines/explain.sh names the built-in one "example".
function traceOfPage(files) {
    if (!files.length)
        throw new Error('it carries no trace');
    return files[0].file === 'example' ? exampleTrace() : readSafetensors(files[0].bytes);
}

function headingOf(trace, attention, layers) {
    const config = configOfTrace(trace), {example} = attention;
    return `${example ? 'The built-in example' : config.model_type ?? 'A model'}: ${layers} layer${layers > 1 ? 's' : ''}, [B, T, C] = [1, ${attention.T}, ${attention.C}], ` +
        `${attention.H} head${attention.H > 1 ? 's' : ''} of ${attention.D}. ${example ? 'Small whole numbers, to be followed by hand.' : 'All numbers come from its trace, or are computed here from its q, k and v.'}`;
}

function drawAttention(page, trace, model, state, change, figure) {
    const {layers} = model, attention = attentionOf(trace, state.layer), step = ATTENTION_STEPS[state.step - 1];
    page.replaceChildren(makeElement('p', {}, headingOf(trace, attention, layers)), tabsElement(state, change),
        layerControls(state, attention, layers, change),
        stepElement(step, state, attention, change), makeElement('section', {'aria-label': 'Blocks of multiplications'},
            ...figure.draw(step, attention)),
        followElement(state, figure.current(), attention, model, {layer: state.layer, head: step.one ? -1 : state.head,
            scalars: figure.current().given.scalars}, change));
    figure.render();
}

function showAttention(page) {
    try {
        const trace = traceOfPage(embeddedFiles(document)), model = followedModel(trace), {layers, H: heads} = model;
        let state = stateFromText(location.hash, ATTENTION_DEFAULTS);
        const keep = (changes, remembered = true) => {
            state = allowedState({...state, ...changes}, layers, heads);
            if (remembered)
                history.replaceState(null, '', '#' + stateToText(state, ATTENTION_DEFAULTS));
        };
        const change = (changes, focus) => {
            const other = ['step', 'layer', 'head'].some(key => changes[key] !== undefined);
            keep({...(other ? {...ANOTHER_EXPRESSION, expr: changes.head === undefined ? '' : state.expr} : {}), ...changes});
            drawAttention(page, trace, model, state, change, figure);
            page.querySelector(`[data-key="${focus}"]`)?.focus();
        };
        const figure = makeBlocksFigure(() => state, change, keep);
        const read = () => {
            keep(stateFromText(location.hash, ATTENTION_DEFAULTS), false);
            figure.player.stop();
            drawAttention(page, trace, model, state, change, figure);
        };
        addEventListener('hashchange', read);
        read();
    } catch (error) {
        page.replaceChildren(makeElement('p', {class: 'problem', role: 'alert'}, `This page is damaged: ${error.message}.`));
    }
}
