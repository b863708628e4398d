// explain_blocks.js: the blocks of attention.html, in the page of the built-in example: what each control does to the picture,
// to the address and to the numbers. Expected values are from arithmetic on paper.
'use strict';
const control = key => $(`[data-key="${key}"]`);

async function address(hash) {
    location.hash = hash;
    await later(30);
}

function choose(key, value) {
    control(key).value = value;
    control(key).dispatchEvent(new Event('change'));
}

const stateOf = () => new URLSearchParams(location.hash.slice(1)), stateIs = key => stateOf().get(key);

// The picture as pixels; how many are not the page's; a number that tells pictures apart.
function pixels() {
    const source = $('.stage canvas'), canvas = document.createElement('canvas'), context = canvas.getContext('2d');
    canvas.width = source.width, canvas.height = source.height;
    context.drawImage(source, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

function inked() {
    const data = pixels();
    let count = 0;
    for (let i = 0; i < data.length; i += 4)
        count += data[i] < 250 || data[i + 1] < 250 || data[i + 2] < 250;
    return count;
}

function signature() {
    return pixels().reduce((sum, x, i) => (sum * 31 + x * (i % 4 < 3)) % 1000000007, 7);
}

// A control changes the picture, and back again brings the first one.
function changesPicture(what, change, back) {
    const before = signature();
    change();
    const after = signature();
    check(`${what} changes the picture`, before !== after, true);
    back();
    check(`${what}: the first picture comes back`, signature() === before, true);
}

function testViewChanges() {
    const view = {yaw: 170, pitch: 0, zoom: 1, panx: 0, pany: 0};
    check('a turn goes around', changedView(view, {turn: [20, 100]}), {yaw: -170, pitch: 89, zoom: 1, panx: 0, pany: 0});
    check('limits', changedView(view, {turn: [0, -100], zoom: 99, pan: [9, -9]}), {yaw: 170, pitch: -89, zoom: 20, panx: 5, pany: -5});
    check('nearest', changedView(view, {zoom: 0}).zoom, 0.2);
    check('no change', changedView(view, {}), view);
    check('other keys', [keyedView(view, 'a', false), keyedView(view, 'Enter', true)], [null, null]);
    check('= is +', keyedView(view, '=', false), keyedView(view, '+', false));
    check('up', [keyedView(view, 'ArrowUp', false).pitch, keyedView(view, 'ArrowUp', true).pany], [10, -0.1]);
    check('dots', [dotSize({value: 0, max: 2}), dotSize({value: -2, max: 2}), dotSize({value: 1, max: 0})].map(x => x.toFixed(2)),
        ['0.12', '0.42', '0.12']);
    check('dots of a step are larger', dotSize({value: 1, max: 1, strong: true}), 0.8);
    const lines = boxLines({origin: [0, 0, 0], er: [0, -1, 0], ec: [1, 0, 0], ek: [0, 0, -1], rows: 2, cols: 3, depth: 4});
    check('twelve edges', [lines.length, new Set(lines.map(l => JSON.stringify([l.from, l.to]))).size], [12, 12]);
    check('their lengths', lines.map(l => Math.hypot(...l.to.map((x, i) => x - l.from[i]))).sort(), [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]);
    const face = {origin: [0, 0, 1], er: [0, -1, 0], ec: [1, 0, 0], matrix: {rows: 2, cols: 4}};
    check('the middle of a face', centreOf(face), [2, -1, 1]);
    check('an outline', outline(face, [1, 2], [2, 4]).map(l => l.from), [[2, -1, 1], [4, -1, 1], [4, -2, 1], [2, -2, 1]]);
}

function testBlocksState() {
    const given = {matrices: {Q: matrixOfRows([[1, 2, 3, 4]]), K: matrixOfRows([[1, 0, 0, 1]])}, scalars: {D: 4, C: 8}},
        of = text => evaluate(parseExpression(text), given);
    check('epilogues by name', ['Q K^T', 'relu(Q K^T)', 'softmax(tril(Q K^T / sqrt(D)))', 'softmax(Q K^T / sqrt(4))', 'softmax(Q K^T / 2)',
        'softmax(Q K^T / sqrt(C))', 'tril(Q K^T)'].map(t => epilogueName(of(t), given.scalars)),
        ['none', 'relu', 'masked softmax', 'scaled softmax', 'scaled softmax', null, null]);
    check('a size that has a name', expressionWith(of('Q K^T'), '', 'scaled softmax', given.scalars), 'softmax(Q K^T / sqrt(D))');
    check('one that has none', expressionWith(of('Q K^T'), '', 'scaled softmax', {C: 8}), 'softmax(Q K^T / sqrt(4))');
    check('a reading', readingOfSpot({path: '', row: 0, col: 0}, of('y = Q K^T')), 'y[0, 0] = 5');
    check('no reading', readingOfSpot(null, of('Q K^T')), '');
    check('what is cut off', [cellText(-Infinity), cellText(0.123456789)], ['−∞', '0.12346']);
    check('places', [placeText(0, 3), placeText(0, 0)], ['step 1 of 3', '']);
    check('a product that is not there', viewOfState({...BLOCKS_DEFAULTS, anim: 'axpy', product: 'lll'}, of('Q K^T')).order, [{path: '', steps: 4}]);
    check('nothing to animate', viewOfState({...BLOCKS_DEFAULTS, anim: 'axpy'}, of('Q')).animation, '');
    const model = followedModel(exampleTrace()), steps = stepsOfTrail(['q.0.0.1.0', 'nonsense', 'q.0.0.2.0'], {},
        attentionOf(exampleTrace(), 0), model, {});
    check('a trail up to what is not there', steps.map(s => s.text), ['q.0.0.1.0']);
}

async function testPicture() {
    await address('#step=5');
    check('there is WebGL here', $('.stage canvas').getContext('webgl') !== null, true);
    check('something is drawn', inked() > 2000, true);
    const webgl = inked();
    control('still').click();
    check('still picture', [stateIs('still'), $('.stage canvas').getContext('webgl')], ['true', null]);
    check('much the same is drawn', inked() > 0.6 * webgl && inked() < 1.5 * webgl, true);
    control('still').click();
    check('WebGL again', [stateIs('still'), $('.stage canvas').getContext('webgl') !== null], [null, true]);
}

async function testLook() {
    await address('#step=5');
    for (const layout of ['wheel', 'blocks'])
        changesPicture(`layout ${layout}`, () => choose('layout', layout), () => choose('layout', 'zigzag'));
    choose('layout', 'wheel');
    check('layout in the address', stateIs('layout'), 'wheel');
    changesPicture('scale', () => choose('scale', 'global'), () => choose('scale', 'local'));
    changesPicture('sensitivity', () => choose('sensitivity', '4'), () => choose('sensitivity', '1'));
    changesPicture('zero', () => choose('zero', '0'), () => choose('zero', '127'));
    changesPicture('spread', () => choose('spread', '0'), () => choose('spread', '97'));
    changesPicture('hiding', () => control('hide').click(), () => control('hide').click());
    choose('scale', 'global'), choose('sensitivity', '2'), choose('zero', '10'), choose('spread', '20'), control('hide').click();
    check('the look is in the address', ['scale', 'sensitivity', 'zero', 'spread', 'hide'].map(stateIs), ['global', '2', '10', '20', 'true']);
}

async function testView() {
    await address('#step=5&expr=Q+K%5ET');
    const canvas = $('.labels'), key = (k, shiftKey = false) => canvas.dispatchEvent(new KeyboardEvent('keydown', {key: k, shiftKey, bubbles: true}));
    changesPicture('turning', () => key('ArrowRight'), () => key('ArrowLeft'));
    key('ArrowLeft'), key('ArrowUp'), key('+'), key('ArrowRight', true), key('ArrowUp', true);
    check('keys', ['yaw', 'pitch', 'zoom', 'panx', 'pany'].map(stateIs), ['-45', '35', '1.44', '-0.1', '-0.1']);
    key('-');
    check('zoomed out again', stateIs('zoom'), null); // 1.44 / 1.2 is the default
    control('view').click();
    check('reset', ['yaw', 'pitch', 'zoom', 'panx', 'pany'].map(stateIs), [null, null, null, null, null]);
    const pointer = (type, x, y, more = {}) => canvas.dispatchEvent(new PointerEvent(type,
        {pointerId: 1, clientX: x, clientY: y, bubbles: true, ...more}));
    pointer('pointerdown', 100, 100), pointer('pointermove', 150, 125), pointer('pointerup', 150, 125);
    check('dragging turns', [stateIs('yaw'), stateIs('pitch')], ['-55', '35']);
    pointer('pointerdown', 100, 100), pointer('pointermove', 150, 100, {shiftKey: true}), pointer('pointerup', 150, 100);
    check('with shift it pans', Number(stateIs('panx')) < 0, true);
    canvas.dispatchEvent(new WheelEvent('wheel', {deltaY: -200, cancelable: true}));
    near('the wheel zooms', Number(stateIs('zoom')), 1.2 * Math.exp(0.2), 1e-3);
    control('view').click();
    pointer('pointerdown', 100, 100), pointer('pointerdown', 200, 100, {pointerId: 2}), pointer('pointermove', 300, 100, {pointerId: 2});
    pointer('pointerup', 300, 100, {pointerId: 2}), pointer('pointerup', 100, 100);
    near('two fingers zoom', Number(stateIs('zoom')), 2.4, 1e-3);
    check('and pan', Number(stateIs('panx')) < 0, true);
}

async function testSpot() {
    await address('#step=5&expr=Q+K%5ET&yaw=0&pitch=0');
    const scene = sceneOf(evaluate(parseExpression('Q K^T'), givenOf(attentionOf(exampleTrace(), 0), 0)), {...VIEW, layout: 'zigzag'}),
        box = $('.labels').getBoundingClientRect();
    const camera = cameraOf({yaw: 0, pitch: 0, zoom: 1.2, panx: 0, pany: 0}, scene.bounds, box.width / box.height),
        face = scene.quads.find(q => q.path === '');
    const [x, y] = projectPoint(camera, along(along(face.origin, face.er, 2.5), face.ec, 1.5)),
        at = {clientX: box.left + (x + 1) / 2 * box.width, clientY: box.top + (1 - y) / 2 * box.height, pointerId: 1, bubbles: true};
    const click = () => $('.labels').dispatchEvent(new PointerEvent('pointerdown',
        at)) && $('.labels').dispatchEvent(new PointerEvent('pointerup', at));
    changesPicture('a click on a cell', click, () => choose('spot-path', ''));
    click();
    check('the spot is in the address', stateIs('spot'), '.2.1');
    check('and its value is read', $('.stage + output').textContent, 'Q K^T[2, 1] = 3');
    choose('spot-row', '4');
    check('another row', [stateIs('spot'), $('.stage + output').textContent], ['.4.1', 'Q K^T[4, 1] = 1']);
    choose('spot-col', '99');
    check('a column that is not there', stateIs('spot'), '.4.4');
    choose('spot-path', 'r');
    check('another matrix', $('.stage + output').textContent, 'K^T[0, 0] = 0');
    choose('spot-path', '');
    check('no spot', [stateIs('spot'), $('.stage + output').textContent], [null, '']);
}

async function testAnimation() {
    await address('#step=5');
    check('no animation, no steps', [control('play').disabled, control('next').disabled, $('.place').textContent], [true, true, '']);
    // Q K^T (5,1) (1,5); attn V (5,5) (5,1); attn V wO (5,1) (1,2)
    for (const [kind, steps] of [['dot product', 25 + 5 + 10], ['axpy', 5 + 25 + 5], ['vector-matrix', 15], ['matrix-vector', 5 + 1 + 2],
        ['outer product', 1 + 5 + 1]]) {
        choose('anim', kind);
        check(kind, [stateIs('anim'), $('.place').textContent], [kind, `step 1 of ${steps}`]);
    }
    const first = signature();
    control('next').click();
    check('a step', [stateIs('at'), $('.place').textContent, signature() !== first], ['1', 'step 2 of 7', true]);
    control('previous').click();
    check('a step back', [stateIs('at'), control('previous').disabled, signature() === first], [null, true, true]);
    choose('product', '.');
    check('one product', [$('.place').textContent, stateIs('product')], ['step 1 of 1', '.']);
    choose('product', 'l');
    check('another', $('.place').textContent, 'step 1 of 5');
    choose('speed', '50');
    check('speed in the address', stateIs('speed'), '50');
    control('play').click();
    check('playing', control('play').textContent, 'Pause');
    await later(400);
    check('played to its end', [$('.place').textContent, control('play').textContent, stateIs('at')], ['step 5 of 5', 'Play', '4']);
    choose('speed', '2');
    control('play').click();
    await later(700);
    control('play').click();
    const place = $('.place').textContent;
    check('paused', [place, control('play').textContent], ['step 2 of 5', 'Play']);
    await later(800);
    check('it stays', $('.place').textContent, place);
}

async function testExpression() {
    await address('#step=4');
    check('the expression of the step', control('expr').value, 'out = (attn = softmax(tril(Q K^T / sqrt(D)))) V');
    check('no product is chosen', control('epilogue').disabled, true);
    choose('product', 'l');
    check('its epilogue', [control('epilogue').disabled, control('epilogue').value], [false, 'masked softmax']);
    const texts = {none: 'Q K^T', relu: 'relu(Q K^T)', gelu: 'gelu(Q K^T)', sigmoid: 'sigmoid(Q K^T)', silu: 'silu(Q K^T)',
        tanh: 'tanh(Q K^T)', 'layer norm': 'layernorm(Q K^T)',
        softmax: 'softmax(Q K^T)', 'scaled softmax': 'softmax(Q K^T / sqrt(D))', 'masked softmax': 'softmax(tril(Q K^T / sqrt(D)))'};
    check('ten epilogues', [...control('epilogue').options].map(o => o.value), Object.keys(texts));
    for (const [name, text] of Object.entries(texts)) {
        choose('epilogue', name);
        check(name, [stateIs('expr'), control('epilogue').value], [`out = (attn = ${text}) V`, name]);
    }
    choose('expr', 'relu(Q K^T / 3)');
    choose('product', '.');
    check('an epilogue that is not offered', [control('epilogue').value, control('epilogue').selectedOptions[0].textContent], ['', '/ 3, relu']);
    choose('expr', 'y = (Q K^T) V');
    const details = all('figure').find(f => f.querySelector('.stage')).querySelector('details');
    details.open = true;
    await later(50);
    check('a table of each matrix', [...details.querySelectorAll('caption')].map(c => c.textContent), ['Q', 'K^T', 'Q K^T', 'V', 'y']);
    check('its numbers', [...details.querySelectorAll('table')[4].querySelectorAll('td')].map(c => c.textContent), ['10', '20', '30', '30', '10']); // Q (K . V), K . V = 0 + 2 + 4 + 4 + 0
    choose('expr', 'Q V');
    check('shapes that do not fit', $('.problem').textContent, 'Q [5, 1] times V [5, 1]: 1 columns, 5 rows.');
    check('no picture of it', $('.stage'), null);
    choose('expr', 'x + 1');
    check('what is no expression', $('.problem').textContent.startsWith('"+" is not understood'), true);
    control('reset').click();
    check('reset', [$('.problem'), stateIs('expr'), control('expr').value.startsWith('out = ')], [null, null, true]);
    choose('expr', 'x');
    check('a matrix alone is drawn', inked() > 500, true);
}

async function testLink() {
    const saved = [], keep = saveFile;
    const link = '#step=4&head=1&expr=Q+K%5ET&product=.&layout=wheel&anim=axpy&at=3&speed=9&hide=true&spot=l.3.0&scale=global&sensitivity=2&zero=30&spread=60&yaw=12&pitch=-8&zoom=2&panx=0.5&pany=-0.5&still=true';
    await address(link);
    check('every control shows the link', ['expr', 'product', 'layout', 'anim', 'speed', 'scale', 'sensitivity', 'zero', 'spread',
        'spot-path', 'spot-row', 'spot-col', 'head'].map(k => control(k).value),
        ['Q K^T', '.', 'wheel', 'axpy', '9', 'global', '2', '30', '60', 'l', '3', '0', '1']);
    check('and the switches', [control('hide').checked, control('still').checked, $('.place').textContent], [true, true, 'step 4 of 5']);
    const picture = signature();
    control('layout').dispatchEvent(new Event('change'));
    check('the same link is written', [location.hash, signature()], [link, picture]);
    await address('#layout=spiral&anim=jump&scale=x&sensitivity=99&zero=-5&at=-3&pitch=400&zoom=0&speed=0&spot=rrr.1.1&product=lll');
    check('a wrong link', ['layout', 'anim', 'scale', 'sensitivity', 'zero', 'speed', 'product'].map(k => control(k).value),
        ['zigzag', '', 'local', '4', '0', '1', '']);
    check('it is drawn', inked() > 100, true);
    saveFile = (name, blob) => saved.push([name, blob.type, blob.size > 1000]);
    $('[aria-label="Blocks: save as PNG"]').click();
    await later(500);
    check('saved as PNG', saved, [['blocks.png', 'image/png', true]]);
    saveFile = keep;
    document.body.style.width = '380px';
    for (let step = 1; step <= 5; step++) {
        await address(`#step=${step}`);
        check(`nothing is wider than a phone, step ${step}`, $('#page').scrollWidth <= $('#page').clientWidth, true);
    }
    document.body.style.width = '';
    check('every control has a name', all('input, select').filter(i => !i.closest('details')).every(i => i.labels.length || i.getAttribute('aria-label')), true);
}
