// attention_follow.js: the part of attention.html in which one number is followed to what it is made of.
'use strict';

const FOLLOW_DEFAULTS = {trail: []}; // cells of the blocks ("l.2.1", scene.js) and of the model ("q.0.0.2.1", follow.js)

// The steps of a trail up to the first that is not there: [{text, explained}].
function stepsOfTrail(trail, current, attention, model, place) {
    const steps = [];
    for (const text of trail) {
        const spot = current.tree ? spotOf(text, current.tree) : null, cell = model.cellOf(text);
        if (!spot && !cell)
            break;
        steps.push({text, explained: spot ? explainSpot(current.tree, spot, attention, place) : model.explain(cell)});
    }
    return steps;
}

function followTable(explained, follow) {
    const button = ({text, cell, spot}) => makeElement('button', {type: 'button', class: 'cell',
        onclick: () => follow(cell ? textOfCell(cell) : textOfSpot(spot))}, text);
    return makeElement('div', {class: 'scroll', tabindex: 0}, tableElement(explained.name, explained.columns,
        explained.rows.map(row => row.map(c => typeof c === 'string' ? c : button(c)))));
}

// Beside what was computed what the trace has, unless it is the example, which has no other numbers.
function resultElements(explained, example) {
    const {value, missing, results} = explained, traced = example ? null : explained.traced,
        lines = results.map(([label, x]) => `${label} ${cellNumber(x)}`);
    if (value !== null)
        lines.push(`${explained.name} = ${cellNumber(value)}`);
    if (traced !== null)
        lines.push(`in the trace ${formatNumber(traced, 6)}${value === null ? '' : `, a difference of ${formatNumber(Math.abs(value - traced), 2)}`}`);
    return [makeElement('ul', {class: 'results'}, ...lines.map(l => makeElement('li', {}, l))),
        ...(missing ? [makeElement('p', {class: 'soft'}, 'The trace has no weights, as those of this model take more than 16 MB: what they multiply is shown without them.')] : [])];
}

// Where a walk begins: a quantity of the layer, its row and column.
function startElement(model, state, change) {
    const first = model.cellOf(state.trail.find(t => model.cellOf(t)) ?? '') ?? {of: 'projection', layer: state.layer, head: state.head,
        row: 0, col: 0};
    const known = ['projection', 'context', 'attn', 'score', 'q', 'k', 'v', 'norm1', 'hidden', 'middle', 'norm2', 'fc', 'act',
        'mlp'].filter(of => model.cellOf(textOfCell({of, layer: state.layer, head: 0, row: 0, col: 0})));
    const select = makeElement('select', {'data-key': 'follow-of'}, ...known.map(of => makeElement('option',
        {value: of, selected: of === first.of}, of)));
    const number = (label, key) => makeElement('label', {}, label, makeElement('input', {type: 'number', min: 0, value: first[key],
        'data-key': `follow-${key}`}));
    const form = makeElement('form', {class: 'controls', onsubmit: e => {
        e.preventDefault();
        const [rows, cols] = model.sizes(select.value), read = (key, size) => Math.min(size - 1,
            Math.max(0, Math.round(Number(form.querySelector(`[data-key="follow-${key}"]`).value) || 0)));
        change({trail: [textOfCell({of: select.value, layer: state.layer, head: state.head, row: read('row', rows),
            col: read('col', cols)})]}, 'follow');
    }}, makeElement('label', {}, 'Number', select), number('Row', 'row'), number('Column', 'col'),
        makeElement('button', {type: 'submit', 'data-key': 'follow'}, 'Follow'));
    return form;
}

// change(changes, focus) draws the page again. A step into a cell of the blocks moves the spotlight there.
function followElement(state, current, attention, model, place, change) {
    const steps = stepsOfTrail(state.trail, current, attention, model, place), texts = steps.map(s => s.text), last = steps[steps.length - 1];
    const go = list => {
        const end = list[list.length - 1] ?? '', spot = current.tree && spotOf(end, current.tree) ? {spot: end} : {};
        change({trail: list, ...spot}, 'trail');
    };
    const crumb = (s, i) => makeElement('li', {}, makeElement('button', {type: 'button',
        'aria-current': i === steps.length - 1 ? 'step' : null, onclick: () => go(texts.slice(0, i + 1))},
        `${s.explained.name} = ${s.explained.value === null ? formatNumber(s.explained.traced, 5) : cellText(s.explained.value)}`));
    return makeElement('section', {'aria-label': 'Follow one number'}, makeElement('h2', {}, 'Follow one number'),
        makeElement('p', {class: 'soft'}, 'A click on a cell of the blocks, or the button below, shows what the number is made of; each number in the table can be followed in turn, back to the embedding of its token.'),
        startElement(model, state, change),
        ...(last ? [makeElement('ol', {class: 'trail', 'data-key': 'trail', tabindex: -1}, ...steps.map(crumb)),
            makeElement('p', {}, `${last.explained.name}: ${last.explained.text}.`.replace(/\.\.$/, '.')),
            followTable(last.explained, text => go([...texts, text])), ...resultElements(last.explained, attention.example)] : []));
}
