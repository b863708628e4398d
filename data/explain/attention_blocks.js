// attention_blocks.js: the figure of blocks in attention.html: an expression, its controls, playing, the spotlight.
'use strict';

const BLOCKS_DEFAULTS = {expr: '', product: '', layout: 'zigzag', anim: '', at: 0, speed: 4, hide: false, spot: '', scale: 'local', sensitivity: 1,
    zero: 127, spread: 97, yaw: -35, pitch: 25, zoom: 1.2, panx: 0, pany: 0, still: false};
const ANOTHER_EXPRESSION = {product: '', at: 0, spot: '', trail: []}; // what belongs to one expression alone
const SPEEDS = [1, 60]; // steps a second

// The state with what is wrong in an address replaced.
function allowedBlocks(state) {
    const limited = (key, low, high) => ({[key]: Math.min(high, Math.max(low, state[key]))}),
        one = (key, values) => ({[key]: values.includes(state[key]) ? state[key] : BLOCKS_DEFAULTS[key]});
    return {...state, ...one('layout', LAYOUTS), ...one('anim', ['', ...Object.keys(ANIMATIONS)]), ...one('scale', ['local', 'global']),
        ...limited('sensitivity', 0.25, 4), ...limited('zero', 0, 360), ...limited('spread', 0, 180), ...limited('speed', ...SPEEDS),
            at: Math.max(0, Math.round(state.at)),
        ...changedView(state, {})};
}

// The name among epilogueChoices of what a product has, null where it is none of them. K: its inner dimension.
function epilogueName(node, scalars) {
    const K = node.left.value.cols, plain = node.epilogue.filter(e => e !== '^T');
    const same = (a, b) => a.length === b.length && a.every((e, i) => e === b[i] || (e.startsWith('/') && b[i].startsWith('/') && divisorOf(e.slice(2), scalars) === divisorOf(b[i].slice(2), scalars)));
    return Object.entries(epilogueChoices(K)).find(([, list]) => same(plain, list))?.[0] ?? null;
}

// The text of an expression in which the product at `path` has the epilogue of that name.
function expressionWith(tree, path, name, scalars) {
    const K = nodeAt(tree, path).left.value.cols, known = Object.keys(scalars).find(s => scalars[s] === K);
    return printExpression(withEpilogue(tree, path, epilogueChoices(known ?? K)[name]));
}

// The evaluated expression of a state: {text, tree, given} or {text, problem: a sentence}.
function treeOfState(state, step, attention) {
    const text = state.expr || expressionOfStep(step, attention), given = givenOf(attention, step.one ? -1 : state.head);
    try {
        return {text, given, tree: evaluate(parseExpression(text), given)};
    } catch (error) {
        return {text, given, problem: error.message};
    }
}

const pathOfProduct = product => product === '.' ? '' : product;

// What a state shows of a tree, for sceneOf. A product that the tree does not have stands for all of them.
function viewOfState(state, tree) {
    const known = state.product && nodeAt(tree, pathOfProduct(state.product))?.left;
    const order = state.anim && tree.left ? animationOrder(tree, state.anim, known ? state.product : '') : [];
    return {layout: state.layout, hide: state.hide, scale: state.scale, animation: order.length ? state.anim : '', order, at: state.at,
        spot: spotOf(state.spot, tree)};
}

// "attn[1, 2] = 0.25", with the token's place.
function readingOfSpot(spot, tree) {
    if (!spot)
        return '';
    const node = nodeAt(tree, spot.path), {cols, data} = node.value;
    return `${labelOf(node)}[${spot.row}, ${spot.col}] = ${cellText(data[spot.row * cols + spot.col])}`;
}

// The cell that is marked is the one that is followed.
function spotted(text) {
    return {spot: text, trail: text ? [text] : []};
}

// ---- controls ---------------------------------------------------------------------------------------------------

function rangeElement(label, key, [low, high, step], state, change) {
    return makeElement('label', {}, label, makeElement('input', {type: 'range', min: low, max: high, step, value: state[key],
        'data-key': key, 'aria-valuetext': state[key],
        onchange: e => change({[key]: Number(e.target.value)}, key)}), String(state[key]));
}

function checkElement(label, key, state, change) {
    return makeElement('label', {}, makeElement('input', {type: 'checkbox', checked: state[key], 'data-key': key,
        onchange: e => change({[key]: e.target.checked}, key)}), label);
}

function buttonElement(label, key, action, disabled = false) {
    return makeElement('button', {type: 'button', 'data-key': key, onclick: action, disabled}, label);
}

function groupElement(legend, ...children) {
    return makeElement('fieldset', {}, makeElement('legend', {}, legend), ...children);
}

const choicesOf = list => list.map(v => [v, v]);

function expressionControls(current, state, change) {
    const {tree, text, given} = current, input = makeElement('input', {value: text, size: 44, spellcheck: 'false', 'data-key': 'expr',
        onchange: e => change({expr: e.target.value.trim(), ...ANOTHER_EXPRESSION}, 'expr')});
    const row = [makeElement('label', {class: 'wide'}, 'Expression', input), buttonElement('that of the step', 'reset',
        () => change({expr: '', ...ANOTHER_EXPRESSION}, 'reset'), !state.expr)];
    const products = tree ? nodesOf(tree).filter(n => n.node.left) : [];
    if (!products.length)
        return makeElement('div', {class: 'controls'}, ...row);
    const path = pathOfProduct(state.product), chosen = state.product && nodeAt(tree, path)?.left ? nodeAt(tree, path) : null,
        name = chosen && epilogueName(chosen, given.scalars);
    const epilogue = selectElement('Epilogue', 'epilogue', [...(chosen && name === null ? [['', printEpilogue(chosen)]] : []),
        ...choicesOf(Object.keys(epilogueChoices(1)))], name ?? '',
        ({epilogue: to}) => to && change({expr: expressionWith(tree, path, to, given.scalars), at: 0}, 'epilogue'));
    epilogue.querySelector('select').disabled = !chosen;
    return makeElement('div', {class: 'controls'}, ...row,
        selectElement('Product', 'product', [['', 'all'], ...products.map(p => [p.path || '.', labelOf(p.node)])],
            chosen ? state.product : '', (c, key) => change({...c, at: 0}, key)), epilogue);
}

function printEpilogue(node) {
    return node.epilogue.filter(e => e !== '^T').join(', ');
}

function playControls(current, state, change, player) {
    const total = current.tree ? animationPlace(viewOfState(state, current.tree).order, state.at).total : 0,
        at = Math.min(state.at, Math.max(0, total - 1));
    const step = by => () => player.stop() || change({at: Math.min(total - 1, Math.max(0, at + by))}, by > 0 ? 'next' : 'previous');
    return groupElement('Animation', selectElement('', 'anim', [['', 'none'], ...choicesOf(Object.keys(ANIMATIONS))], state.anim,
        c => player.stop() || change({...c, at: 0}, 'anim')),
        buttonElement(player.playing() ? 'Pause' : 'Play', 'play', () => player.playing() ? player.pause() : player.play(total), total === 0),
        buttonElement('Step back', 'previous', step(-1), total === 0 || at === 0), buttonElement('Step', 'next', step(1),
            total === 0 || at >= total - 1),
        rangeElement('Speed', 'speed', [...SPEEDS, 1], state, change), makeElement('span', {class: 'place'}, placeText(at, total)));
}

function placeText(at, total) {
    return total ? `step ${at + 1} of ${total}` : '';
}

function spotControls(current, state, change) {
    const {tree} = current, spot = spotOf(state.spot, tree), nodes = nodesOf(tree), path = spot?.path ?? '', {rows, cols} = nodeAt(tree, path).value;
    const number = (label, key, max) => makeElement('label', {}, label, makeElement('input',
        {type: 'number', min: 0, max: max - 1, value: spot?.[key] ?? '', 'data-key': `spot-${key}`,
        onchange: e => change(spotted(textOfSpot({path, row: 0, col: 0, ...spot, [key]: Math.min(max - 1,
            Math.max(0, Math.round(Number(e.target.value))))})), `spot-${key}`)}));
    return groupElement('Spotlight', selectElement('', 'spot-path', [['', 'none'], ...nodes.map(n => [n.path || '.', labelOf(n.node)])],
        spot ? path || '.' : '',
        c => change(spotted(c['spot-path'] ? textOfSpot({path: pathOfProduct(c['spot-path']), row: 0, col: 0}) : ''), 'spot-path')),
        ...(spot ? [number('Row', 'row', rows), number('Column', 'col', cols)] : []));
}

function lookControls(state, change) {
    return makeElement('div', {class: 'controls'}, selectElement('Layout', 'layout', choicesOf(LAYOUTS), state.layout, change),
        checkElement('Hide given matrices', 'hide', state, change),
        groupElement('Colours', selectElement('Scale', 'scale', [['local', 'of each matrix'], ['global', 'of all']], state.scale, change),
            rangeElement('Sensitivity', 'sensitivity', [0.25, 4, 0.25], state, change),
            rangeElement('Zero', 'zero', [0, 360, 1], state, change), rangeElement('Spread', 'spread', [0, 180, 1], state, change)),
        checkElement('Still picture', 'still', state, change),
        buttonElement('Reset view', 'view', () => change(Object.fromEntries(['yaw', 'pitch', 'zoom', 'panx',
            'pany'].map(k => [k, BLOCKS_DEFAULTS[k]])), 'view')));
}

// ---- the figure -------------------------------------------------------------------------------------------------

// Steps through an animation: {play(total), pause(), stop(), playing()}. advance(at) shows a step; ended() is called at a
// pause and at the last step.
function makePlayer(current, advance, ended) {
    let timer = null;
    const stop = () => {
        clearTimeout(timer);
        timer = null;
    };
    const tick = total => {
        const at = current().at + 1;
        if (at >= total) {
            stop();
            ended();
            return;
        }
        advance(at);
        timer = setTimeout(() => tick(total), 1000 / current().speed);
    };
    return {stop, playing: () => timer !== null, pause: () => {
        stop();
        ended();
    }, play: total => {
        if (current().at >= total - 1)
            advance(0);
        timer = setTimeout(() => tick(total), 1000 / current().speed);
        ended();
    }};
}

// The figure, which lives as long as the page: {draw(state, step, attention) -> elements}. `stateNow` gives the page's state,
// change(changes, focus) draws the page again, keep(changes) only remembers them.
function makeBlocksFigure(stateNow, change, keep) {
    let shown = null; // {tree, state} of what is drawn
    const reading = makeElement('output', {'aria-live': 'polite'});
    const blocks = makeBlocks({onview: (view, end) => keep(view, end), onpick: cell => change(spotted(textOfSpot(cell)))});
    const render = () => {
        const state = stateNow(), {tree} = shown;
        reading.textContent = readingOfSpot(spotOf(state.spot, tree), tree);
        blocks.show(sceneOf(tree, viewOfState(state, tree)), state, {sensitivity: state.sensitivity, zero: state.zero, spread: state.spread},
            state.still);
    };
    const player = makePlayer(stateNow, at => {
        keep({at}, false);
        render();
        const total = animationPlace(viewOfState(stateNow(), shown.tree).order, at).total, place = document.querySelector('.place');
        place.textContent = placeText(at, total);
    }, () => change({}, 'play'));
    const draw = (step, attention) => {
        const state = stateNow(), current = treeOfState(state, step, attention);
        shown = current;
        const controls = [expressionControls(current, state, change)];
        if (current.problem) {
            player.stop();
            return [...controls, makeElement('p', {class: 'problem', role: 'alert'}, `${current.problem}.`)];
        }
        const figure = makeElement('figure', {}, makeElement('header', {}, makeElement('h2', {}, current.text),
            makeElement('button', {type: 'button', 'aria-label': 'Blocks: save as PNG',
                onclick: () => blocks.picture().toBlob(blob => saveFile('blocks.png', blob), 'image/png')}, 'PNG')),
            blocks.element, reading, tableDetails(() => makeElement('div', {}, ...nodesOf(current.tree).map(({node}) =>
                heatTable({title: labelOf(node), rows: node.value.rows, columns: node.value.cols, data: node.value.data})))));
        return [...controls, makeElement('div', {class: 'controls'}, playControls(current, state, change, player),
            spotControls(current, state, change)), lookControls(state, change), figure];
    };
    return {draw, render: () => shown?.tree && render(), player, current: () => shown};
}
