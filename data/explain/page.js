// page.js: what all pages share: the files that the page carries, the state in its address, charts, tables, saving.
// A function without "element" or "save" in its name touches neither the document nor anything outside its arguments.
'use strict';

// ---- files in the page ------------------------------------------------------------------------------------------

// pipelines/explain.sh puts each file, as base64, into a script element of type application/octet-stream with the
// attributes data-folder and data-file.
function embeddedFiles(document) {
    const files = [];
    for (const script of document.querySelectorAll('script[type="application/octet-stream"]'))
        files.push({folder: script.dataset.folder, file: script.dataset.file, bytes: bytesOfBase64(script.textContent)});
    return files;
}

function bytesOfBase64(text) {
    const binary = atob(text.replace(/\s+/g, '')), bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++)
        bytes[i] = binary.charCodeAt(i);
    return bytes;
}

function textOfBytes(bytes) {
    return new TextDecoder().decode(bytes);
}

// The objects of JSON Lines. A last line without its line feed is still being written and is left out; `damaged` counts
// other lines that are no object.
function parseJsonLines(text) {
    const lines = text.split('\n'), objects = [];
    let damaged = 0;
    lines.pop();
    for (const line of lines) {
        if (!line.trim())
            continue;
        try {
            const object = JSON.parse(line);
            if (object === null || typeof object !== 'object' || Array.isArray(object))
                damaged++;
            else
                objects.push(object);
        } catch {
            damaged++;
        }
    }
    return {objects, damaged};
}

// The options of a config.yaml as [[name, value], ...]; a list in one line, what was recorded under "recorded NAME".
function readConfig(text) {
    const options = [];
    let section = '';
    for (const line of text.split('\n')) {
        const item = /^ *- (.*)$/.exec(line), option = /^( *)([^:#\s][^:]*):(?: (.*))?$/.exec(line);
        if (item && options.length)
            options[options.length - 1][1] = `${options[options.length - 1][1]} ${item[1]}`.trim();
        else if (option && option[1])
            options.push([section + option[2], (option[3] || '').replace(/^"(.*)"$/, '$1')]);
        else if (option)
            option[2] === 'recorded' ? section = 'recorded ' : options.push([option[2], (option[3] || '').replace(/^"(.*)"$/, '$1')]);
    }
    return options;
}

// ---- state in the address ---------------------------------------------------------------------------------------

// {x: 'step', hide: ['a b']} <-> "x=step&hide=a+b". A member that equals its default is left out; one that is not in the
// defaults is passed over. A member has the type of its default: a string, a number, a boolean or a list of strings.
function stateToText(state, defaults) {
    const p = new URLSearchParams();
    for (const [key, standard] of Object.entries(defaults)) {
        const value = state[key];
        if (Array.isArray(standard))
            value.forEach(v => p.append(key, v));
        else if (value !== standard)
            p.set(key, String(value));
    }
    return p.toString();
}

function stateFromText(text, defaults) {
    const p = new URLSearchParams(text.replace(/^#/, '')), state = {};
    for (const [key, standard] of Object.entries(defaults)) {
        const value = p.get(key);
        if (Array.isArray(standard))
            state[key] = p.getAll(key);
        else if (value === null)
            state[key] = standard;
        else if (typeof standard === 'number')
            state[key] = value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : standard;
        else
            state[key] = typeof standard === 'boolean' ? value === 'true' : value;
    }
    return state;
}

// ---- numbers ----------------------------------------------------------------------------------------------------

// A number to at most `digits` significant digits, without a power of ten where it is readable without one.
function formatNumber(x, digits = 5) {
    if (x === null || x === undefined || Number.isNaN(x))
        return '-';
    if (!Number.isFinite(x) || x === 0)
        return String(x);
    const rounded = Number(x.toPrecision(digits)), size = Math.abs(rounded);
    return size >= 1e9 || size < 1e-4 ? rounded.toExponential() : String(rounded);
}

// Exponential moving average with the start corrected, as Adam's moments are (Kingma & Ba 2015): weight 0 changes
// nothing. A value that is not finite is kept, and does not enter the average.
function smooth(values, weight) {
    let average = 0, correction = 1;
    return values.map(v => {
        if (!Number.isFinite(v))
            return v;
        average = weight * average + (1 - weight) * v;
        correction *= weight;
        return average / (1 - correction);
    });
}

// About `count` round numbers that divide [low, high]: multiples of 1, 2 or 5 times a power of ten.
function ticks(low, high, count) {
    if (!(high > low))
        return [low];
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= raw * (1 - 1e-9));
    const first = Math.ceil(low / step - 1e-9), list = [];
    for (let i = first; i * step <= high + 1e-9 * step; i++)
        list.push(Number((i * step).toPrecision(12)));
    return list;
}

// The same for a logarithmic axis: 1, 2 and 5 times powers of ten; where fewer than two of them fit, ticks().
function logTicks(low, high, count) {
    const list = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
        for (const m of [1, 2, 5])
            if (m * 10 ** e >= low * (1 - 1e-9) && m * 10 ** e <= high * (1 + 1e-9))
                list.push(Number((m * 10 ** e).toPrecision(12)));
    return list.length < 2 ? ticks(low, high, count) : list;
}

// Points [x, y], by x, of which a line of `width` dots shows no more: of those in one column the first, the lowest, the
// highest and the last.
function thin(points, width) {
    if (points.length <= 4 * width)
        return points;
    const low = points[0][0], span = points[points.length - 1][0] - low || 1, kept = [];
    for (let from = 0, to; from < points.length; from = to) {
        const column = p => Math.min(width - 1, Math.floor((p[0] - low) / span * width));
        for (to = from + 1; to < points.length && column(points[to]) === column(points[from]); to++);
        let least = from, most = from;
        for (let i = from; i < to; i++) {
            least = points[i][1] < points[least][1] ? i : least;
            most = points[i][1] > points[most][1] ? i : most;
        }
        for (const i of [...new Set([from, least, most, to - 1])].sort((a, b) => a - b))
            kept.push(points[i]);
    }
    return kept;
}

// Every nth of a list, the last among them.
function everyNth(list, n) {
    return list.filter((_, i) => (list.length - 1 - i) % n === 0);
}

// The index of the point whose x is nearest, -1 where there is none.
function nearest(points, x) {
    let low = 0, high = points.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (points[middle][0] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && (low === points.length || x - points[low - 1][0] <= points[low][0] - x) ? low - 1 : low < points.length ? low : -1;
}

// ---- elements ---------------------------------------------------------------------------------------------------

function makeElement(name, attributes = {}, ...children) {
    const svg = ['svg', 'path', 'line', 'text', 'g', 'circle', 'rect', 'image', 'title'].includes(name);
    const e = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes))
        if (key.startsWith('on'))
            e.addEventListener(key.slice(2), value);
        else if (value !== false && value !== null && value !== undefined)
            e.setAttribute(key, value === true ? '' : value);
    e.append(...children);
    return e;
}

// rows: lists of cells, texts or elements; the first cell of a row is its heading.
function tableElement(caption, head, rows) {
    const cells = (list, tag) => list.map((c, i) => makeElement(i ? tag : 'th', i ? {} : {scope: 'row'}, c instanceof Node ? c : String(c)));
    return makeElement('table', {}, makeElement('caption', {}, caption),
        makeElement('thead', {}, makeElement('tr', {}, ...head.map(h => makeElement('th', {scope: 'col'}, h)))),
        makeElement('tbody', {}, ...rows.map(r => makeElement('tr', {}, ...cells(r, 'td')))));
}

function saveFile(name, blob) {
    const a = makeElement('a', {href: URL.createObjectURL(blob), download: name});
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 1000);
}

// A figure that stands alone: with the colours that it has now, as the page's style does not go along.
function standaloneSvg(svg) {
    const copy = svg.cloneNode(true), of = [svg, ...svg.querySelectorAll('*')], to = [copy, ...copy.querySelectorAll('*')];
    of.forEach((e, i) => {
        const style = getComputedStyle(e);
        for (const key of ['stroke', 'fill'])
            if (style[key])
                to[i].setAttribute(key, style[key]);
    });
    copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
    copy.setAttribute('width', svg.viewBox.baseVal.width);
    copy.setAttribute('height', svg.viewBox.baseVal.height);
    copy.prepend(makeElement('rect', {width: '100%', height: '100%', fill: getComputedStyle(document.body).backgroundColor}));
    return new XMLSerializer().serializeToString(copy);
}

async function savePng(name, svg) {
    const image = new Image(), canvas = document.createElement('canvas'), box = svg.viewBox.baseVal;
    image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(standaloneSvg(svg));
    await image.decode();
    canvas.width = 2 * box.width;
    canvas.height = 2 * box.height;
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(blob => saveFile(name, blob), 'image/png');
}

// A figure: its title with buttons that save the drawing, the drawing, and what stands below it: a reading, a table.
function figureElement(title, svg, ...below) {
    const file = title.replace(/\W+/g, '-').toLowerCase();
    const save = (label, action) => makeElement('button', {type: 'button', onclick: action, 'aria-label': `${title}: save as ${label}`}, label);
    return makeElement('figure', {}, makeElement('header', {}, makeElement('h2', {}, title),
        save('SVG', () => saveFile(file + '.svg', new Blob([standaloneSvg(svg)], {type: 'image/svg+xml'}))),
        save('PNG', () => savePng(file + '.png', svg))), svg, ...below);
}

// The table behind a figure: table() makes it when it is opened.
function tableDetails(table) {
    const details = makeElement('details', {ontoggle: () => {
        if (details.open && details.children.length === 1)
            details.append(makeElement('div', {class: 'scroll', tabindex: 0}, table()));
    }}, makeElement('summary', {}, 'Table'));
    return details;
}

// ---- charts -----------------------------------------------------------------------------------------------------

// Where a chart's points come to lie: {x(v), y(v), xTicks, yTicks, low, high}. Series: [{points: [[x, y], ...]}].
function chartScales(series, logarithmic, box) {
    const points = series.flatMap(s => s.points).filter(p => Number.isFinite(p[1]) && (!logarithmic || p[1] > 0));
    if (!points.length)
        return null;
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const [x, y] of points) {
        x0 = Math.min(x0, x), x1 = Math.max(x1, x), y0 = Math.min(y0, y), y1 = Math.max(y1, y);
    }
    if (y0 === y1)
        [y0, y1] = logarithmic ? [y0 / 2, y1 * 2] : [y0 - (Math.abs(y0) || 1) / 2, y1 + (Math.abs(y1) || 1) / 2];
    const f = logarithmic ? Math.log : v => v, low = f(y0), span = f(y1) - low;
    return {
        x: v => box.left + (x1 > x0 ? (v - x0) / (x1 - x0) : 0.5) * (box.right - box.left),
        y: v => box.bottom - (f(v) - low) / span * (box.bottom - box.top),
        inverse: px => x0 + (px - box.left) / (box.right - box.left) * (x1 - x0),
        xTicks: ticks(x0, x1, 5), yTicks: (logarithmic ? logTicks : ticks)(y0, y1, 5), low: y0, high: y1,
    };
}

function pathOf(points, scales, logarithmic) {
    let d = '', open = false;
    for (const [x, y] of points) {
        const shown = Number.isFinite(y) && (!logarithmic || y > 0);
        if (shown)
            d += (open ? 'L' : 'M') + scales.x(x).toFixed(1) + ' ' + scales.y(y).toFixed(1);
        open = shown;
    }
    return d;
}

// A chart of lines as a <figure>: o = {title, x, unit, logarithmic, series: [{name, colour, dash, dots, faint, points, raw}]},
// where raw has the numbers before smoothing, which readings and the table give. A reading follows the pointer, and the
// arrow keys where the chart has the focus.
function chartElement(o) {
    const W = 640, H = 300, box = {left: 62, right: W - 22, top: 8, bottom: H - 40};
    const scales = chartScales(o.series, o.logarithmic, box);
    const svg = makeElement('svg', {viewBox: `0 0 ${W} ${H}`, role: 'img', tabindex: 0, 'aria-label': `${o.title} by ${o.x}`});
    const reading = makeElement('output');
    const figure = figureElement(o.title, svg, reading);
    if (!scales) {
        svg.append(makeElement('text', {x: W / 2, y: H / 2, 'text-anchor': 'middle', fill: 'var(--soft)'}, 'nothing to show'));
        return figure;
    }
    drawAxes(svg, o, scales, box);
    for (const s of o.series)
        svg.append(makeElement('path', {d: pathOf(thin(s.points, W), scales, o.logarithmic), fill: 'none', stroke: s.colour,
            'stroke-width': s.faint ? 1 : 1.8, 'stroke-opacity': s.faint ? 0.3 : 1, 'stroke-dasharray': s.dash || null}));
    for (const s of o.series.filter(s => s.dots && s.points.length <= 100))
        svg.append(...s.points.filter(p => Number.isFinite(p[1]) && (!o.logarithmic || p[1] > 0)).map(([x, y]) =>
            makeElement('circle', {cx: scales.x(x), cy: scales.y(y), r: 3, fill: s.colour})));
    followPointer(svg, o, scales, box, reading);
    figure.append(chartTable(o));
    return figure;
}

function drawAxes(svg, o, scales, box) {
    const text = (x, y, anchor, label) => makeElement('text', {x, y, 'text-anchor': anchor, fill: 'var(--soft)', 'font-size': 12,
        'font-family': 'system-ui, sans-serif'}, label);
    for (const v of scales.yTicks)
        svg.append(makeElement('line', {x1: box.left, x2: box.right, y1: scales.y(v), y2: scales.y(v), stroke: 'var(--line)'}),
            text(box.left - 6, scales.y(v) + 4, 'end', formatNumber(v)));
    for (const v of scales.xTicks)
        svg.append(text(scales.x(v), box.bottom + 16, 'middle', formatNumber(v)));
    svg.append(text((box.left + box.right) / 2, box.bottom + 34, 'middle', o.x + (o.unit ? `; vertical: ${o.unit}` : '')));
}

function followPointer(svg, o, scales, box, reading) {
    const mark = makeElement('line', {y1: box.top, y2: box.bottom, stroke: 'var(--ink)', 'stroke-dasharray': '2 3', visibility: 'hidden'});
    const shown = o.series.filter(s => !s.faint && s.points.length), longest = shown.reduce((a, b) => b.points.length > a.points.length ? b : a);
    let at = -1;
    svg.append(mark);
    const swatch = s => makeElement('span', {class: 'swatch', style: `border-color:${s.colour}`});
    reading.replaceChildren(...shown.flatMap(s => [' ', swatch(s), ` ${s.name}`])); // a legend, until a point is read
    const show = index => {
        at = Math.max(0, Math.min(longest.points.length - 1, index));
        const x = longest.points[at][0];
        mark.setAttribute('x1', scales.x(x));
        mark.setAttribute('x2', scales.x(x));
        mark.setAttribute('visibility', 'visible');
        reading.replaceChildren(`${o.x} ${formatNumber(x, 9)}`, ...shown.flatMap(s => {
            const p = (s.raw || s.points)[nearest(s.points, x)];
            return [' ', swatch(s), ` ${s.name} ${formatNumber(p[1], 6)}`];
        }));
    };
    svg.addEventListener('pointermove', e => {
        const r = svg.getBoundingClientRect();
        show(nearest(longest.points, scales.inverse((e.clientX - r.left) / r.width * svg.viewBox.baseVal.width)));
    });
    svg.addEventListener('keydown', e => {
        const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -Infinity, End: Infinity}[e.key];
        if (step) {
            e.preventDefault();
            show(at < 0 && step === 1 ? 0 : at + step);
        }
    });
}

// The numbers behind a chart, at most about 200 rows: evenly spaced ones, the last among them.
function chartTable(o) {
    const shown = o.series.filter(s => !s.faint && s.points.length);
    const xs = [...new Set(shown.flatMap(s => s.points.map(p => p[0])))].sort((a, b) => a - b), every = Math.ceil(xs.length / 200);
    const picked = everyNth(xs, every);
    const values = shown.map(s => new Map(s.raw || s.points));
    return tableDetails(() => tableElement(every > 1 ? `every ${every}th of ${xs.length} rows` : o.title,
        [o.x, ...shown.map(s => s.name)], picked.map(x => [formatNumber(x, 9), ...values.map(v => v.has(x) ? formatNumber(v.get(x), 9) : '')])));
}
