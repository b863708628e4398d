// explain_training.js: runs in the page that pipelines/explain.sh made of the runs of explain.sh (the test), after its own
// scripts. Expected values are from arithmetic on paper.
const figureOf = title => all('figure').find(f => f.querySelector('h2').textContent === title);

// ---- pure functions ----
function testReading() {
    check('base64 with line ends', [...bytesOfBase64('AAEC\n/w==\n')], [0, 1, 2, 255]);
    check('UTF-8', textOfBytes(new Uint8Array([0xc3, 0xa9])), 'é');
    check('JSON Lines', parseJsonLines('{"a":1}\n\n{"b":2}\n'), {objects: [{a: 1}, {b: 2}], damaged: 0});
    check('a line being written', parseJsonLines('{"a":1}\n{"b":'), {objects: [{a: 1}], damaged: 0});
    check('damaged lines', parseJsonLines('{"a":1}\nx\n3\n[1]\nnull\n').damaged, 4);
    const log = readLog([{step: 1, tokens: 100, loss: 4, tok_s: 1000}, {step: 2, tokens: 200, loss: null, tok_s: 500, skipped: true},
        {step: 2, val_loss: 3}, {step: 2, val_loss: 9, val_losses: {web: 9, 'a b': null}}, {step: 2, document_loss: 1, floor: 0.5}]);
    check('seconds', log.steps.seconds.map(s => s.toFixed(3)), ['0.100', '0.300']);
    check('a null loss', Number.isNaN(log.steps.loss[1]), true);
    check('skipped', log.steps.skipped, [false, true]);
    check('sets', Object.keys(log.sets), ['', 'web', 'a b']);
    check('documents', log.documents.floor, 0.5);
    check('an empty log', readLog([]).steps.step, []);
}

function testConfig() {
    const text = '# c\nlr: 0.001\nval:\n  - a.tok\n  - b.tok\nname: "x y"\nrecorded:\n  threads: 2\n';
    check('config', readConfig(text), [['lr', '0.001'], ['val', 'a.tok b.tok'], ['name', 'x y'], ['recorded threads', '2']]);
    check('no config', readConfig(''), []);
    check('differences', differingOptions([[['a', '1'], ['b', '2'], ['out', 'x']], [['a', '1'], ['b', '3'], ['out', 'y']], [['a', '1']]]), [['b', '2', '3', '-']]);
    check('samples', readSamples('--- step 5 ---\na\n--- b\n\n--- step 10 ---\nc\n\n'), [{step: 5, text: 'a\n--- b'}, {step: 10, text: 'c'}]);
    check('no samples', readSamples(''), []);
}

function testNumbers() {
    check('formats', [0.1 + 0.2, 1234567, 0, 1e-7, 2e12, NaN, null, -0.5].map(x => formatNumber(x)), ['0.3', '1234600', '0', '1e-7', '2e+12', '-', '-', '-0.5']);
    check('smoothing by nothing', smooth([1, 2, 3], 0), [1, 2, 3]);
    // weight 1/2: averages 1/2, 5/4, 17/8; corrections 1/2, 3/4, 7/8
    const even = smooth([1, 2, 3], 0.5);
    near('smoothing 1', even[0], 1), near('smoothing 2', even[1], 5 / 3), near('smoothing 3', even[2], 17 / 7);
    check('smoothing passes over NaN', smooth([2, NaN, 2], 0.5).map(x => Number.isNaN(x) ? 'NaN' : x), [2, 'NaN', 2]);
    check('ticks', ticks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
    check('ticks of a part', ticks(0.12, 0.31, 4), [0.15, 0.2, 0.25, 0.3]);
    check('ticks of a point', ticks(3, 3, 5), [3]);
    check('logarithmic ticks', logTicks(0.2, 5, 5), [0.2, 0.5, 1, 2, 5]);
    check('logarithmic ticks of a narrow range', logTicks(1.1, 1.9, 4).length >= 2, true);
    check('nearest', [-1, 0.4, 0.6, 9].map(x => nearest([[0, 0], [1, 0], [2, 0]], x)), [0, 0, 1, 2]);
    check('nearest of none', nearest([], 1), -1);
    const many = Array.from({length: 10000}, (_, i) => [i, i === 5000 ? 99 : i % 7]);
    const few = thin(many, 100);
    check('thin keeps the ends and the peak', [few.length <= 400, few[0][0], few[few.length - 1][0], few.some(p => p[1] === 99)], [true, 0, 9999, true]);
    check('every third', everyNth([1, 2, 3, 4, 5], 3), [2, 5]);
    check('every one', everyNth([1, 2], 1), [1, 2]);
    check('thin keeps few points', thin([[0, 1], [1, 2]], 100), [[0, 1], [1, 2]]);
}

function testState() {
    const defaults = {x: 'step', smooth: 0, log: false, hide: []};
    check('defaults are not written', stateToText(defaults, defaults), '');
    const state = {x: 'tokens', smooth: 0.9, log: true, hide: ['a b', 'c&d']};
    check('state comes back', stateFromText('#' + stateToText(state, defaults), defaults), state);
    check('what is unknown or wrong', stateFromText('#y=1&smooth=abc&log=maybe', defaults), defaults);
    const box = {left: 0, right: 100, top: 0, bottom: 50}, linear = chartScales([{points: [[0, 1], [10, 3]]}], false, box);
    check('scales', [linear.x(5), linear.y(2), linear.inverse(50)], [50, 25, 5]);
    near('a logarithmic scale', chartScales([{points: [[0, 1], [1, 100], [2, -1]]}], true, box).y(10), 25);
    check('nothing to scale', chartScales([{points: [[0, NaN]]}], false, box), null);
    check('one value', chartScales([{points: [[0, 2], [1, 2]]}], false, box).y(2), 25);
    check('a path with a gap', pathOf([[0, 1], [5, NaN], [10, 3]], linear, false), 'M0.0 50.0M100.0 0.0');
    check('the best', bestOf([[1, 3], [2, NaN], [3, 2], [4, 2]]), [3, 2]);
}

// ---- the page: run "x" has 4 steps of 100 tokens at 1000 tok/s, run "y & <z>" 3 at 500 ----
const reads = (figure, key) => {
    figure.querySelector('svg').dispatchEvent(new KeyboardEvent('keydown', {key}));
    return figure.querySelector('output').textContent;
};

function testPage() {
    check('rows of runs', all('table')[0].querySelectorAll('tbody tr').length, 2);
    check('a name is text', all('table')[0].textContent.includes('y & <z>'), true);
    check('cells', [...all('table')[0].querySelectorAll('tbody tr')[0].children].map(c => c.textContent),
        ['x', '4', '400', '0.4', '2.25', '2 at step 4', '1.5, floor 1.2: 25% above']);
    check('charts', all('figure h2').map(h => h.textContent), ['Loss', 'Learning rate', 'Gradient norm', 'Speed']);
    check('the first reading', reads(figureOf('Loss'), 'ArrowRight').startsWith('step 1  x 4.5'), true);
    check('the last reading', reads(figureOf('Loss'), 'End'), 'step 4  x 2.25  y & <z> 2  x validation 2  y & <z> validation 1.5  x entropy of the documents 0.6');
    check('options that differ', all('table').find(t => t.caption.textContent === 'Options that differ').querySelectorAll('tbody tr').length, 2);
    check('the sample is text', $('pre').textContent, 'Tom & <b>Lily</b>');
    check('a damaged line is named', $('.problem').textContent, 'y & <z>: 1 damaged line of its log.jsonl left out.');
    check('each figure has a table', all('figure').every(f => f.querySelector('details')), true);
    check('each control has a name', all('input').every(i => i.labels.length || i.getAttribute('aria-label')), true);
}

function testControls() {
    $('input[value=tokens]').click();
    check('the axis is in the address', location.hash, '#x=tokens');
    check('and drawn', reads(figureOf('Loss'), 'End').startsWith('tokens 400'), true);
    $('input[value=seconds]').click();
    check('seconds', reads(figureOf('Loss'), 'End').startsWith('seconds of training 0.4'), true);
    const slider = $('.controls input[type=range]');
    slider.value = 0.5;
    slider.dispatchEvent(new Event('change'));
    check('smoothing is in the address', location.hash, '#x=seconds&smooth=0.5');
    check('readings are the numbers themselves', reads(figureOf('Loss'), 'End').includes(' x 2.25 '), true);
    all('.controls label').find(l => l.textContent.includes('logarithmic')).querySelector('input').click();
    all('.controls label').find(l => l.textContent === 'x').querySelector('input').click();
    check('hidden', location.hash, '#x=seconds&smooth=0.5&log=true&hide=x');
    check('a hidden run is not drawn', reads(figureOf('Loss'), 'End').includes(' x '), false);
    const inputs = all('.scroll table')[0].querySelectorAll('tbody tr').length;
    check('but stands in the table', inputs, 2);
    const slide = $('section input');
    check('samples of hidden runs are hidden', slide, null);
}

async function testAddress() {
    location.hash = '#x=tokens&log=true';
    await later(50);
    check('the address is read', [$('input[value=tokens]').checked, $('input[type=checkbox]').checked], [true, true]);
    location.hash = '#x=nonsense&smooth=7';
    await later(50);
    check('a wrong address', [$('input[value=step]').checked, $('.controls input[type=range]').value], [true, '0.99']);
    location.hash = '';
    await later(50);
    const samples = $('section input');
    samples.value = 0;
    samples.dispatchEvent(new Event('input'));
    check('an earlier sample', $('pre').textContent, 'Once');
    const details = figureOf('Loss').querySelector('details');
    details.open = true;
    await later(50);
    check('the table has the numbers', [...details.querySelectorAll('tbody tr')].map(r => r.children[1].textContent), ['4.5', '3.5', '2.5', '2.25']);
    const svg = standaloneSvg(figureOf('Loss').querySelector('svg'));
    check('a saved figure stands alone', [svg.includes('xmlns="http://www.w3.org/2000/svg"'), svg.includes('var(--c0)') && !svg.includes('rgb(')], [true, false]);
}

runTests(testReading, testConfig, testNumbers, testState, testPage, testControls, testAddress);
