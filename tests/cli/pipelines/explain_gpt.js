// explain_gpt.js: in the page that pipelines/explain.sh gpt made of a model in tests/golden/predict. `golden` is
// tests/golden/explain.json, from transformers; `kind` is gpt2 or bert.
const expected = golden[kind], read = readGpt(embeddedFiles(document)), {m} = read;
const control = name => all('label').find(l => l.textContent.startsWith(name)).querySelector('select, input');
const content = id => $(`#${id} .content`), tableIn = (id, n = 0) => content(id).querySelectorAll(':scope > .scroll table')[n];
const cells = table => [...table.querySelectorAll('tbody tr')].map(r => [...r.children].map(c => c.textContent));
const figureIn = (id, title) => [...content(id).querySelectorAll('figure')].find(f => f.querySelector('h2').textContent.startsWith(title));

function set(name, value, event = 'change') {
    const c = control(name);
    c.value = value;
    c.dispatchEvent(new Event(event));
}

function press(figure, ...keys) {
    keys.forEach(key => figure.querySelector('svg').dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true})));
    return figure.querySelector('output').textContent;
}

// The table behind a figure, opened.
async function tableBehind(figure) {
    figure.querySelector('details').open = true;
    await later(50);
    return cells(figure.querySelector('details table'));
}

function testTrace() {
    check('the prompt', m.tokens.slice(0, expected.ids.length), expected.ids);
    check('how much of it the model made', m.T - read.promptLength, kind === 'gpt2' ? 20 : 0);
    expected.attention.forEach((heads, l) => heads.forEach((row, h) =>
        allNear(`attention ${l} ${h}`, [...headMap(m, l, h).subarray(expected.at * m.T, expected.at * m.T + row.length)], row, 2e-6)));
    expected.lens.forEach((lens, l) => {
        check(`lens ${l}`, lensOf(m, l, expected.at).map(x => x.id), lens.ids);
        allNear(`lens ${l}`, lensOf(m, l, expected.at).map(x => x.p), lens.p, 2e-6);
    });
    const norm = normOfToken(m, normsOf(m, 0)[0], expected.at);
    allNear('a norm reads', [...norm.x], expected.norm.x, 1e-5);
    allNear('and gives', [...norm.y], expected.norm.y, 1e-5);
    for (let l = 0; l < m.L; l++)
        check('all norms computed here are the trace\u2019s', normsOf(m, l).every(n => normOfToken(m, n, 3).difference < 1e-5), true);
}

function testShown() {
    check('nine sections', all('section > h2').map(h => h.textContent.slice(0, 2)), ['1.', '2.', '3.', '4.', '5.', '6.', '7.', '8.', '9.']);
    check('of this family', all('section > h2')[3].textContent, kind === 'gpt2' ? '4. Causal self-attention' : '4. Self-attention');
    check('the token at first', control('Token').value, String(kind === 'gpt2' ? read.promptLength - 1 : expected.at));
    set('Token', expected.at);
    const norm = cells(tableIn('norm'));
    allNear('x of the norm', norm.map(r => Number(r[1])), expected.norm.x.slice(0, 8), 1e-5);
    allNear('y of the norm', norm.map(r => Number(r[6])), expected.norm.y.slice(0, 8), 1e-5);
    const traced = normOfToken(m, normsOf(m, 0)[0], expected.at);
    check('to the digits shown', norm.map(r => [r[1], r[6]]), [...traced.x.slice(0, 8)].map((x, i) => [formatNumber(x, 6), formatNumber(traced.traced[i], 6)]));
    const act = cells(tableIn('gelu'));
    allNear('x of the activation', act.map(r => Number(r[1])), expected.act.x.slice(0, 8), 1e-5);
    allNear('the activation', act.map(r => Number(r[2])), expected.act.y.slice(0, 8), 1e-5);
    allNear('in the trace', act.map(r => Number(r[3])), expected.act.y.slice(0, 8), 1e-5);
    const lens = cells(tableIn('head'));
    check('rows of the lens', lens.length, m.L + 1);
    expected.lens.forEach((l, i) => check(`the lens ${i}`, lens[i].slice(1), l.ids.map((id, k) => `${textOfId(m, id)} ${formatNumber(100 * lensOf(m, i, expected.at)[k].p, 3)}%`)));
    const computed = /the largest logit is that of .*: (\S+)\. .* is (\S+)\.$/.exec(content('head').querySelector('p').textContent);
    near('the head, computed from the weights', Number(computed[2]), Number(computed[1]), 1e-4);
    const groups = cells(tableIn('optimizer'));
    check('the groups', groups.map(g => Number(g[3])), [expected.decays, expected.parameters - expected.decays]);
    check('the modules', tableIn('modules').caption.textContent.endsWith(`, ${expected.parameters} parameters`), true);
}

// 2 L (4 C C + 2 C F) + 4 L C T + 2 C V, and C C more before BERT's head
function testFlops() {
    const mfu = read.files.mfu, T = mfu.forward.context, {L, C, F, V} = m, sum = 2 * L * (4 * C * C + 2 * C * F) + 4 * L * C * T + 2 * C * V + (kind === 'bert' ? 2 * C * C : 0);
    check('FLOPs', content('flops').querySelector('p').textContent.startsWith(`Together ${sum};`), true);
    if (kind === 'gpt2')
        check('as eval-mfu counts them', sum, mfu.forward.flops_token);
    const row = cells(tableIn('flops')).find(r => r[0] === 'train'), estimate = 6 * expected.parameters + 12 * L * C * T;
    allNear('the three conventions', row.slice(4).map(parseFloat), [mfu.train.mfu, mfu.train.mfu_causal, mfu.train.mfu * estimate / mfu.train.flops_token].map(x => 100 * x), 1e-3);
}

function testControls() {
    set('Layer', 1);
    check('the layer is in the address', location.hash.includes('layer=1'), true);
    check('and is shown', ['norm', 'gelu', 'mlp'].map(id => content(id).querySelector('p').textContent.includes('ayer 1')), [true, true, true]);
    check('the table of its norm', cells(tableIn('norm')).map(r => r[6]), [...normOfToken(m, normsOf(m, 1)[0], expected.at).traced.slice(0, 8)].map(x => formatNumber(x, 6)));
    all('.map')[1].click();
    check('the head', [control('Head').value, all('.map')[1].getAttribute('aria-pressed'), location.hash.includes('head=1')], ['1', 'true', true]);
    const map = figureIn('attention', 'Layer 1, head 1'), p = headMap(m, 1, 1);
    check('a cell of the map', press(map, 'Home'), `\u201c${read.labels[expected.at]}\u201d (${expected.at}) reads \u201c${read.labels[0]}\u201d (0): ${formatNumber(p[expected.at * m.T], 6)}`);
    check('Enter selects the row\u2019s token', [press(map, 'ArrowUp', 'Enter') !== '', control('Token').value], [true, String(expected.at - 1)]);
    set('Token', expected.at);
    set('Norm', 'second');
    check('the second norm', cells(tableIn('norm')).map(r => r[6]), [...normOfToken(m, normsOf(m, 1)[1], expected.at).traced.slice(0, 8)].map(x => formatNumber(x, 6)));
    $('#contents button:last-child').click();
    check('the contents lead to a section', document.activeElement.id, 'generation');
}

async function testSliders() {
    const bars = () => content('generation').querySelector('figure'), kept = () => content('generation').querySelectorAll('p')[1].textContent.split(' remain')[0];
    check('all remain', kept(), `${m.V} tokens of ${m.V}`);
    set('Temperature', 0.5, 'input');
    set('Top-k', 5, 'input');
    check('the five most likely', kept(), `5 tokens of ${m.V}`);
    const d = filteredDistribution(logitsAt(m, expected.at), {temperature: 0.5, topK: 5, topP: 1}), order = largest(softmaxOf(logitsAt(m, expected.at)), 5);
    const table = await tableBehind(bars());
    check('their probabilities', table.slice(0, 5).map(r => r.slice(0, 2)), order.map(id => [(id === m.tokens[expected.at + 1] && m.causal ? '\u25b8 ' : '') + textOfId(m, id), `${formatNumber(100 * d.p[id], 4)}%`]));
    near('add up to 1', table.slice(0, 5).reduce((sum, r) => sum + parseFloat(r[1]), 0), 100, 1e-3);
    set('Top-p', 0.01, 'input');
    check('the most likely alone', kept(), `1 token of ${m.V}`);
    set('Top-p', 1, 'input');
    set('Top-k', 0, 'input');
    set('Temperature', 0, 'input');
    check('temperature 0', kept(), `1 token of ${m.V}`);
    check('the address', ['temperature=0', 'k=5', 'p=0.01'].map(x => location.hash.includes(x)), [true, false, false]);
}

async function testSteps() {
    const button = text => all('#generation button').find(b => b.textContent === text);
    if (kind === 'bert') {
        check('no steps', button('Play'), undefined);
        return;
    }
    set('Token', 3);
    button('Next token').click();
    check('next', control('Token').value, '4');
    button('Previous token').click();
    check('previous', [control('Token').value, $('.token.here').textContent], ['3', read.labels[3]]);
    button('Play').click();
    await later(1800);
    button('Pause').click();
    const at = Number(control('Token').value);
    check('play goes on', at >= 4 && at <= 6, true);
    await later(1800);
    check('until it is paused', control('Token').value, String(at));
    set('Temperature', 1, 'input');
    const p = softmaxOf(logitsAt(m, at)), next = m.tokens[at + 1], followed = content('generation').querySelectorAll('p')[1].textContent;
    check('what followed', followed.includes(`\u201c${read.labels[at + 1]}\u201d followed, of rank ${1 + p.reduce((n, x) => n + (x > p[next]), 0)}: `) && followed.includes(` ${formatNumber(100 * p[next], 4)}% at temperature 1.`), true);
}

async function testAddress() {
    const show = async hash => {
        location.hash = hash;
        await later(50);
        return ['Token', 'Layer', 'Head', 'Norm', 'Temperature', 'Top-k', 'Top-p'].map(n => control(n).value);
    };
    check('the address is read', await show('#layer=1&head=1&token=2&norm=second&temperature=1.5&k=7&p=0.5'), ['2', '1', '1', 'second', '1.5', '7', '0.5']);
    check('what is wrong in it is passed over', await show('#layer=99&head=-1&token=1e9&temperature=x&k=1.5&p=7'), [String(kind === 'gpt2' ? read.promptLength - 1 : expected.at), '0', '0', 'first', '1', '0', '1']);
    check('a norm that is not there', (await show('#norm=nonsense'))[3], '');
}

async function testAccess() {
    location.hash = '';
    await later(50);
    check('each figure has a table', all('figure').every(f => f.querySelector('details')), true);
    check('each control has a name', all('input, select').every(i => i.labels.length || i.getAttribute('aria-label')), true);
    check('each drawing has a name', all('svg[role=img]').every(s => s.getAttribute('aria-label')), true);
    const mlp = await tableBehind(figureIn('mlp', 'What the second'));
    check('a table has the numbers', mlp[2].slice(1, 4), [...rowOf(moduleOutput(m, 0, m.modules.out), 2).subarray(0, 3)].map(x => formatNumber(x, 6)));
    check('formulas', all('math').length >= 7, true);
}

// ---- functions of gpt.js and gpt_sections.js, of the page's model or of tinyTrace() ----
function testSections() {
    check('a histogram', histogram([-9, 0.2, 0.3, 0.8, 9], 0, 1, 2), [[0.25, 0.6], [0.75, 0.4]]);
    check('the largest difference', largestDifference([1, -2, 3], [1, 2, 2.5]), 4);
    check('one and many', [counted(1, 'layer'), counted(2, 'layer'), quoted('a')], ['1 layer', '2 layers', '\u201ca\u201d']);
    const tiny = {m: modelOfTrace(tinyTrace()), promptLength: 2}, valid = changes => validGptState({...GPT_DEFAULTS, ...changes}, tiny);
    check('the last token of the prompt', valid({}).token, 1);
    check('what is out of range', [valid({token: 3}).token, valid({layer: 1}).layer, valid({head: -1}).head, valid({k: 6}).k, valid({p: 0}).p, valid({temperature: 9}).temperature], [1, 0, 0, 0, 0.01, 2]);
    check('what is in range', [valid({token: 2}).token, valid({head: 1}).head, valid({k: 5}).k, valid({temperature: 0}).temperature], [2, 1, 5, 0]);
    // logits of token t are 5t ... 5t + 4; the tokens are 0, 1, 4: after 0, token 1 is of rank 4, after 1, token 4 of rank 1
    const of = (token, k) => distributionAt(tiny.m, {...GPT_DEFAULTS, token, k});
    check('what followed', [of(0, 0).next, of(0, 0).rank, of(1, 0).next, of(1, 0).rank, of(2, 0).next, of(2, 0).rank], [1, 4, 4, 1, null, null]);
    check('what remains', [of(0, 2).kept, of(0, 2).shown], [2, [4, 3, 2, 1, 0]]);
    check('without weights there is no logit', logitFromWeights(tiny.m, 0, 0), null);
    const wte = {'weight.transformer.wte.weight': {shape: [5, 2], data: Float32Array.of(0, 0, 1, 2, 0, 0, 0, 0, 0, 0)}};
    check('a logit from the weights', logitFromWeights(modelOfTrace(tinyTrace({tensors: wte})), 1, 1), 20 * 1 + 30 * 2);
    // L 1, C 2: 6 N + 12 L C T = 60 + 72 of a training step over T = 3
    const mfu = {parameters: 10, train: {batch: 1, context: 3, tok_s: 7, flops_token: 66, mfu: 0.2, mfu_causal: 0.1}};
    check('utilization', mfuRow(tiny.m, mfu, 'train'), ['train', '1 \u00d7 3', '7', '66', '20%', '10%', '40%']);
    refuses('a file that is missing', () => fileOf([], 'mfu.json', true), 'it carries no mfu.json');
    refuses('a file that is no JSON', () => jsonOfFile([{file: 'x', bytes: Uint8Array.of(65)}], 'x'), 'its x is no JSON');
}
