// explain_trace.js: runs in the page of a real trace; TRACED has numbers of its tensors as od printed them,
// OTHERS traces of BERT and RoBERTa in base64.
'use strict';
const tracedPage = () => traceOfPage(embeddedFiles(document));

async function testTrace() {
    location.hash = '#step=5&layer=1&head=1';
    await later(50);
    const tables = caption => all('table').find(t => t.caption.textContent === caption),
        cells = t => [...t.querySelectorAll('tbody td')].map(c => Number(c.textContent));
    for (const [caption, numbers] of [['attn of head 1, trace', TRACED.attentions], ['attn of head 1, here', TRACED.attentions],
        ['y, trace', TRACED.projection], ['y, here', TRACED.projection]])
        allNear(caption, cells(tables(caption)), numbers, 1e-4);
    check('digits', cells(tables('y, trace')), TRACED.projection.map(x => Number(x.toPrecision(5))));
    const near0 = all('[role=tabpanel] p').map(p => /largest difference is (.*)\.$/.exec(p.textContent)).filter(m => m).map(m => Number(m[1]) < 1e-5);
    check('computed here as by the model', near0, [true, true, true]);
    check('the heading', $('#page p').textContent.startsWith('gpt2: 2 layers, [B, T, C] = [1, 4, 8], 2 heads of 4.'), true);
    check('tokens', [...tables('attn of head 1, trace').tHead.rows[0].cells].map(c => c.textContent), ['', 'O', 'n', 'c', 'e']);
    location.hash = '#step=5&trail=projection.1.0.3.5';
    await later(50);
    check('the trace\'s number stands beside', $('.results').lastChild.textContent.startsWith(`in the trace ${Number(TRACED.projection[29].toPrecision(6))}, a difference of `), true);
}

// Every quantity that can be followed, in each layer, at some cells: computed from what it is made of it is the trace's.
function testFollowedTrace(trace = tracedPage()) {
    const model = followedModel(trace), seen = new Set(), {T, C, H, layers} = model;
    for (const of of ['embedding', 'hidden', 'norm1', 'norm2', 'q', 'k', 'v', 'score', 'attn', 'context', 'projection', 'middle', 'fc',
        'act', 'mlp', 'stream'])
        for (let layer = 0; layer <= layers; layer++)
            for (let row = 0; row < T; row++)
                for (const col of [0, 1, 3, 5, 7, 11]) {
                    const cell = model.cellOf(`${of}.${layer}.${(row + col) % H}.${row}.${col}`);
                    if (!cell)
                        continue;
                    const explained = model.explain(cell);
                    seen.add(of);
                    near(`${explained.name} of ${of}`, explained.value, explained.traced ?? model.value(cell), 2e-5);
                }
    check('all of them', seen.size, model.gpt2 ? 16 : 15); // BERT's second norm is the next hidden
    let cell = {of: 'hidden', layer: layers, head: 0, row: T - 1, col: C - 1}, steps = 0, explained;
    for (;; steps++) { // the first number that can be followed, again and again
        explained = model.explain(cell);
        const next = explained.rows.flat().find(c => c.cell);
        if (!next || steps > 200)
            break;
        cell = next.cell;
    }
    check('it ends at an embedding', [cell.of === (model.gpt2 ? 'hidden' : 'embedding'),
        explained.rows[0][1].startsWith(model.gpt2 ? 'wte[' : 'word_embeddings[')], [true, true]);
    check('it took some steps', steps > 2 * layers, true);
}

// Attention computed from q, k and v, and of whole expressions from x and the weights.
function testComputedTrace(trace = tracedPage()) {
    const {layers} = attentionModules(trace);
    for (let layer = 0; layer < layers; layer++) {
        const attention = attentionOf(trace, layer), computed = computeHeads(attention), {H, D, causal} = attention;
        near(`context of layer ${layer}`, largestDifference(computed.context, attention.context), 0, 2e-5);
        near(`projection of layer ${layer}`, largestDifference(computed.projection, attention.projection), 0, 2e-5);
        for (let h = 0; h < H; h++) {
            near(`attention of layer ${layer}, head ${h}`, largestDifference(computed.heads[h].attn, attention.probabilities[h]), 0, 2e-6);
            const scores = '(Q = x wQ) (K = x wK)^T / divisor', tree = evaluate(parseExpression(`softmax(${causal ? `tril(${scores})` : scores}) (V = x wV)`), givenOf(attention, h));
            near(`from x, layer ${layer}, head ${h}`, largestDifference(tree.value, columnsOf(attention.context, h * D, D)), 0, 2e-5);
        }
    }
}

// Each step of each layer has an expression that fits the trace.
function testStepsOfTrace(trace = tracedPage()) {
    const {layers} = attentionModules(trace);
    for (let layer = 0; layer < layers; layer++)
        for (const step of ATTENTION_STEPS) {
            const attention = attentionOf(trace, layer), current = treeOfState({...ATTENTION_DEFAULTS, head: attention.H - 1}, step, attention);
            check(`${step.title} of layer ${layer}`, [current.problem, current.tree.value.rows], [undefined, attention.T]);
        }
}

// A model of more than 16 MB: its numbers are followed without weights.
function testWithoutWeights() {
    const trace = tracedPage(), bare = {...trace, tensors: new Map([...trace.tensors].filter(([name]) => !name.startsWith('weight.')))};
    const model = followedModel(bare), attention = attentionOf(bare, 1);
    const explained = text => model.explain(model.cellOf(text)), q = explained('q.1.0.2.3'), hidden = explained('hidden.0.0.0.0'), norm = explained('norm1.0.0.0.0');
    check('no products', [q.missing, q.value, q.results, q.rows[0][2]], [true, null, [], '-']);
    check('what they multiply', q.rows.map(r => r[1].cell.col), [0, 1, 2, 3, 4, 5, 6, 7]);
    check('the trace\'s number', [q.traced !== null, hidden.missing, hidden.value, norm.missing, norm.rows.length], [true, true, null, true, 8]);
    check('attention itself is whole', explained('attn.1.1.3.2').missing, false);
    check('no weights to name', Object.keys(givenOf(attention, 0).matrices), ['x', 'Q', 'K', 'V']);
    check('no projection', expressionOfStep(ATTENTION_STEPS[4], attention), 'out = (attn = softmax(tril(Q K^T / sqrt(D)))) V');
    const page = document.createElement('div');
    drawAttention(page, bare, model, {...ATTENTION_DEFAULTS, step: 5, trail: ['q.1.0.2.3']}, () => {}, {draw: () => [], render: () => {}, current: () => ({given: {}})});
    check('it says so', page.querySelectorAll('.soft').length > 2 && page.textContent.includes('The trace has no weights'), true);
    check('y is the trace\'s', [...page.querySelectorAll('caption')].some(c => c.textContent === 'y, trace'), true);
}

// BERT and RoBERTa, where tokens see each other and norms come after the sums.
function testOthers() {
    for (const text of Object.values(OTHERS)) {
        const trace = readSafetensors(bytesOfBase64(text));
        testFollowedTrace(trace), testComputedTrace(trace), testStepsOfTrace(trace);
        check('no mask', attentionOf(trace, 0).causal, false);
    }
}

// A page whose trace is damaged, and one whose trace is gone: a sentence, never a blank.
function testDamagedPage() {
    const script = $('script[type="application/octet-stream"]'), said = () => {
        const page = document.createElement('div');
        showAttention(page);
        return page.textContent;
    };
    script.textContent = '***';
    check('not base64', said().startsWith('This page is damaged: '), true);
    script.textContent = btoa('12345678');
    check('no safetensors', said().startsWith('This page is damaged: the trace is cut short in its header'), true);
    script.remove();
    check('no trace', said(), 'This page is damaged: it carries no trace.');
}
