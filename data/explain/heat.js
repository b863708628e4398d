// heat.js: figures of matrices and of distributions: heat maps and bars, as SVG, with a reading that follows the pointer and
// the arrow keys, and a table.
'use strict';

// ---- heat maps ----------------------------------------------------------------------------------------------------

// Values from 0 on in one colour, signed ones in two; the larger, the less of the page's own shines through. {red, green,
// blue} of a custom property such as --c0.
function themeColour(name) {
    const context = document.createElement('canvas').getContext('2d');
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim() || '#000';
    const n = parseInt(context.fillStyle.slice(1), 16);
    return [n >> 16, n >> 8 & 255, n & 255];
}

// The largest |value| that is finite, 0 of none.
function largestSize(data) {
    let max = 0;
    for (const x of data)
        max = Number.isFinite(x) && Math.abs(x) > max ? Math.abs(x) : max;
    return max;
}

// A picture with a pixel a cell, as a data URL. colour(value, max): a CSS colour, or null for the two of the page.
function heatImage(data, rows, columns, max, colour) {
    const canvas = document.createElement('canvas'), context = canvas.getContext('2d');
    canvas.width = columns, canvas.height = rows;
    if (colour) {
        for (let i = 0; i < rows * columns; i++) {
            context.fillStyle = Number.isFinite(data[i]) ? colour(data[i], max) : 'transparent';
            context.fillRect(i % columns, Math.floor(i / columns), 1, 1);
        }
        return canvas.toDataURL();
    }
    const image = context.createImageData(columns, rows), positive = themeColour('--c0'), negative = themeColour('--c1');
    for (let i = 0; i < rows * columns; i++)
        if (Number.isFinite(data[i]) && max > 0) {
            image.data.set(data[i] < 0 ? negative : positive, 4 * i);
            image.data[4 * i + 3] = Math.round(255 * Math.min(1, Math.abs(data[i]) / max));
        }
    context.putImageData(image, 0, 0);
    return canvas.toDataURL();
}

// Where a heat map's cells lie in a drawing `width` wide: labels to the left and above, each nth where they would touch.
function heatLayout(rows, columns, width, rowLabels, columnLabels) {
    const longest = (labels, n) => labels ? Math.min(14, Math.max(0, ...labels.slice(0, n).map(l => l.length))) : 0;
    const left = 8 + 7.5 * Math.max(longest(rowLabels, rows), 2), top = 10 + 7 * Math.max(longest(columnLabels, columns), 2);
    const cell = Math.min(40, (width - left - 8) / columns), height = Math.max(Math.min(cell, 40), Math.min(16, 480 / rows));
    return {left, top, cell, height, right: left + cell * columns, bottom: top + height * rows,
        everyRow: Math.ceil(12 / height), everyColumn: Math.ceil(12 / cell)};
}

// The cell [row, column] that a key leads to, null for other keys.
function heatStep(at, key, rows, columns) {
    const [r, c] = at, last = [rows - 1, columns - 1];
    const to = {ArrowUp: [r - 1, c], ArrowDown: [r + 1, c], ArrowLeft: [r, c - 1], ArrowRight: [r, c + 1], Home: [r, 0], End: [r, last[1]],
        PageUp: [0, c], PageDown: [last[0], c]}[key];
    return to ? to.map((x, i) => Math.max(0, Math.min(last[i], x))) : null;
}

// o = {title, rows, columns, data: rows * columns numbers, rowLabels, columnLabels, rowTitle, columnTitle, max: what has the
// full colour (else the largest), colour(value, max): a CSS colour, digits: of the numbers in the cells, where there are at
// most 12 columns (else none), selected: [row, column], onpick(row, column): by click and Enter, read(row, column): a text in
// place of the labels and the number}. What is not finite is drawn empty.
function heatElement(o) {
    const W = 640, g = heatLayout(o.rows, o.columns, W, o.rowLabels, o.columnLabels), max = o.max ?? largestSize(o.data);
    const svg = makeElement('svg', {viewBox: `0 0 ${W} ${Math.ceil(g.bottom + 8)}`, role: 'img', tabindex: 0,
        'aria-label': `${o.title}: ${o.rows} ${o.rowTitle ?? 'rows'} by ${o.columns} ${o.columnTitle ?? 'columns'}; arrow keys read the cells`});
    svg.append(makeElement('rect', {x: g.left, y: g.top, width: g.right - g.left, height: g.bottom - g.top, fill: 'none', stroke: 'var(--line)'}),
        makeElement('image', {x: g.left, y: g.top, width: g.right - g.left, height: g.bottom - g.top, preserveAspectRatio: 'none',
            style: 'image-rendering: pixelated', href: heatImage(o.data, o.rows, o.columns, max, o.colour)}));
    heatLabels(svg, o, g);
    const reading = makeElement('output');
    followCells(svg, o, g, reading);
    return figureElement(o.title, svg, reading, tableDetails(() => heatTable(o)));
}

function heatLabels(svg, o, g) {
    const text = (x, y, anchor, label, turn) => makeElement('text', {x, y, 'text-anchor': anchor, fill: 'var(--soft)', 'font-size': 11,
        'font-family': 'system-ui, sans-serif', transform: turn ? `rotate(-90 ${x} ${y})` : null}, label.length > 14 ? label.slice(0, 13) + '\u2026' : label);
    for (let r = 0; r < o.rows; r += g.everyRow)
        svg.append(text(g.left - 4, g.top + (r + 0.5) * g.height + 4, 'end', String(o.rowLabels?.[r] ?? r)));
    for (let c = 0; c < o.columns; c += g.everyColumn)
        svg.append(text(g.left + (c + 0.5) * g.cell + 4, g.top - 4, 'start', String(o.columnLabels?.[c] ?? c), true));
    if (o.digits === undefined || o.columns > 12)
        return;
    for (let i = 0; i < o.rows * o.columns; i++)
        if (Number.isFinite(o.data[i]))
            svg.append(makeElement('text', {x: g.left + (i % o.columns + 0.5) * g.cell, y: g.top + (Math.floor(i / o.columns) + 0.5) * g.height + 4, 'text-anchor': 'middle',
                'font-size': 10, fill: 'var(--ink)', 'font-family': 'system-ui, sans-serif'}, formatNumber(o.data[i], o.digits)));
}

// The reading of a cell: what o.read says, else its labels and its number.
function readCell(o, r, c) {
    return o.read ? o.read(r, c) : `${o.rowLabels?.[r] ?? r}, ${o.columnLabels?.[c] ?? c}: ${formatNumber(o.data[r * o.columns + c], 6)}`;
}

function followCells(svg, o, g, reading) {
    const mark = makeElement('rect', {width: g.cell, height: g.height, fill: 'none', stroke: 'var(--ink)', 'stroke-width': 1.5, visibility: 'hidden'});
    let at = o.selected ?? null;
    const show = cell => {
        at = cell;
        mark.setAttribute('x', g.left + at[1] * g.cell);
        mark.setAttribute('y', g.top + at[0] * g.height);
        mark.setAttribute('visibility', 'visible');
        reading.textContent = readCell(o, ...at);
    };
    const cellOf = e => {
        const r = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / r.width;
        const row = Math.floor(((e.clientY - r.top) * scale - g.top) / g.height), column = Math.floor(((e.clientX - r.left) * scale - g.left) / g.cell);
        return row >= 0 && row < o.rows && column >= 0 && column < o.columns ? [row, column] : null;
    };
    svg.append(mark);
    if (at)
        show(at);
    svg.addEventListener('pointermove', e => {
        const cell = cellOf(e);
        if (cell)
            show(cell);
    });
    svg.addEventListener('click', e => {
        const cell = cellOf(e);
        if (cell)
            o.onpick?.(...cell);
    });
    svg.addEventListener('keydown', e => {
        const cell = at ? heatStep(at, e.key, o.rows, o.columns) : heatStep([0, 0], e.key, o.rows, o.columns) && [0, 0];
        if (cell || e.key === 'Enter' && at)
            e.preventDefault();
        if (cell)
            show(cell);
        else if (e.key === 'Enter' && at)
            o.onpick?.(...at);
    });
}

// At most 200 rows and 64 columns, the first ones; the caption says so.
function heatTable(o) {
    const rows = Math.min(200, o.rows), columns = Math.min(64, o.columns), cut = rows < o.rows || columns < o.columns;
    return tableElement(cut ? `${o.title}: the first ${rows} of ${o.rows} rows, ${columns} of ${o.columns} columns` : o.title,
        [o.rowTitle ?? '', ...Array.from({length: columns}, (_, c) => String(o.columnLabels?.[c] ?? c))],
        Array.from({length: rows}, (_, r) => [o.rowLabels?.[r] ?? r, ...Array.from({length: columns}, (_, c) => formatNumber(o.data[r * o.columns + c], 6))]));
}

// ---- bars ---------------------------------------------------------------------------------------------------------

// o = {title, items: [{label, value, before: the same before a change (drawn faint), marked}], caption: of the values,
// percent: the values are shares of 1}. Values are from 0 on.
function barsElement(o) {
    const W = 640, left = 150, step = 20, max = Math.max(...o.items.map(i => Math.max(i.value, i.before ?? 0)), 1e-30);
    const show = x => o.percent ? `${formatNumber(100 * x, 4)}%` : formatNumber(x, 6), width = x => (W - left - 90) * x / max;
    const svg = makeElement('svg', {viewBox: `0 0 ${W} ${step * o.items.length + 8}`, role: 'img', 'aria-label': `${o.title}; the numbers are in the table`});
    const text = (x, y, anchor, label, fill) => makeElement('text', {x, y, 'text-anchor': anchor, fill, 'font-size': 12, 'font-family': 'system-ui, sans-serif'}, label);
    o.items.forEach((item, i) => {
        const y = i * step + 4, label = item.label.length > 18 ? item.label.slice(0, 17) + '\u2026' : item.label;
        svg.append(text(left - 6, y + 13, 'end', (item.marked ? '\u25b8 ' : '') + label, 'var(--ink)'));
        if (item.before !== undefined)
            svg.append(makeElement('rect', {x: left, y, width: width(item.before), height: step - 4, fill: 'var(--line)'}));
        svg.append(makeElement('rect', {x: left, y: y + 3, width: width(item.value), height: step - 10, fill: item.marked ? 'var(--c1)' : 'var(--c0)'}),
            text(left + width(Math.max(item.value, item.before ?? 0)) + 6, y + 13, 'start', show(item.value), 'var(--soft)'));
    });
    const before = o.items.some(i => i.before !== undefined);
    return figureElement(o.title, svg, tableDetails(() => tableElement(o.title, ['', o.caption ?? '', ...(before ? [`${o.caption}, unchanged`] : [])],
        o.items.map(i => [(i.marked ? '\u25b8 ' : '') + i.label, show(i.value), ...(before ? [show(i.before)] : [])]))));
}
