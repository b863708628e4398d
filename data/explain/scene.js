// scene.js: what is drawn of an expression in space: coloured faces, multiplications, lines, labels; the camera; which cell a
// point of the picture shows. Neither the document nor anything outside the arguments is touched.
'use strict';

// ---- colours ----------------------------------------------------------------------------------------------------

// The red, green and blue (0 to 1) of hue (degrees), saturation and lightness.
function rgbOfHsl(hue, saturation, lightness) {
    const a = saturation * Math.min(lightness, 1 - lightness);
    return [0, 8, 4].map(n => {
        const k = (n + (((hue % 360) + 360) % 360) / 30) % 12;
        return lightness - a * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    });
}

// The colour of a value where `max` has the full one: zero has the page's own, positive values go to the hue that is `spread`
// degrees after `zero`, negative ones to that as far before it. A sensitivity above 1 shows small
// values better. c = {sensitivity, zero, spread, dark}
function valueColour(value, max, c) {
    const size = max > 0 ? Math.min(1, Math.abs(value) / max) ** (1 / c.sensitivity) : 0;
    return rgbOfHsl(c.zero + Math.sign(value) * c.spread, 0.8 * Math.sqrt(size), c.dark ? 0.16 + 0.5 * size : 0.95 - 0.5 * size);
}

function cssColour([r, g, b]) {
    return `rgb(${Math.round(255 * r)} ${Math.round(255 * g)} ${Math.round(255 * b)})`;
}

// A matrix as pixels, 4 bytes each; what is not finite is transparent.
function pixelsOf(matrix, max, c) {
    const pixels = new Uint8Array(4 * matrix.data.length);
    matrix.data.forEach((v, i) => {
        if (Number.isFinite(v))
            pixels.set([...valueColour(v, max, c).map(x => Math.round(255 * x)), 255], 4 * i);
    });
    return pixels;
}

// ---- the scene --------------------------------------------------------------------------------------------------

const MAX_DOTS = 30000;

// Of an evaluated tree: {quads: [{path, input, matrix, max, origin, er, ec}], dots: [{at, value, max}], lines: [{from, to,
// strong}], labels: [{at, text}]}.
// view = {layout, hide: whether given matrices are left out, scale: 'local' or 'global', animation: '' or a kind, order,
// at: the step, spot: {path, row, col} or null}
function sceneOf(tree, view) {
    const layout = layoutOf(tree, view.layout), place = view.animation ? animationPlace(view.order, view.at) : null;
    const globalMax = Math.max(...nodesOf(tree).map(n => largestSize(n.node.value.data)));
    const shown = new Map(nodesOf(tree).map(({path, node}) => [path, shownValue(node, path, view, place)]));
    const maxOf = node => view.scale === 'global' ? globalMax : largestSize(node.value.data);
    const quads = layout.faces.filter(f => !(view.hide && !nodeAt(tree, f.path).left))
        .map(f => ({...f, matrix: shown.get(f.path), max: shown.get(f.path) === nodeAt(tree,
            f.path).value ? maxOf(nodeAt(tree, f.path)) : largestSize(nodeAt(tree, f.path).raw.data)}));
    const scene = {quads, dots: [], lines: [...layout.boxes.flatMap(boxLines), ...layout.links.map(([from, to]) => ({from, to}))],
        labels: quads.map(q => labelOfQuad(q, tree)), bounds: boundsOf(layout)};
    for (const box of layout.boxes)
        addMultiplications(scene, nodeAt(tree, box.path), box, place && (place.path === box.path ? place : {done: true}), view);
    if (view.spot)
        addSpot(scene, tree, layout, view.spot);
    return scene;
}

// A matrix as it is at the animation's step: products that are not reached are empty.
function shownValue(node, path, view, place) {
    if (!place || !node.left || place.done.includes(path) || !view.order.some(o => o.path === path))
        return node.value;
    const empty = makeMatrix(node.value.rows, node.value.cols, new Float64Array(node.value.data.length).fill(NaN));
    if (place.path !== path)
        return empty;
    const partial = partialProduct(node.left.value, node.right.value, view.animation, place.n),
        last = place.n === view.order.find(o => o.path === path).steps - 1;
    return last ? node.value : isTurned(node) ? transposed(partial) : partial; // the epilogue needs the whole product
}

function boxLines(b) {
    const corner = (i, j, k) => along(along(along(b.origin, b.er, i * b.rows), b.ec, j * b.cols), b.ek, k * b.depth), lines = [];
    for (const [p, q] of [[0, 0], [0, 1], [1, 0], [1, 1]])
        lines.push({from: corner(0, p, q), to: corner(1, p, q)}, {from: corner(p, 0, q), to: corner(p, 1, q)},
            {from: corner(p, q, 0), to: corner(p, q, 1)});
    return lines;
}

// The outline of rows [r0, r1) and columns [c0, c1) of a face.
function outline(face, [r0, r1], [c0, c1]) {
    const corner = (r, c) => along(along(face.origin, face.er, r), face.ec, c), p = [corner(r0, c0), corner(r0, c1), corner(r1, c1), corner(r1, c0)];
    return p.map((from, i) => ({from, to: p[(i + 1) % 4], strong: true}));
}

function labelOfQuad(q, tree) {
    return {at: along(along(q.origin, q.er, q.matrix.rows / 2), q.ec, q.matrix.cols / 2), text: labelOf(nodeAt(tree, q.path))};
}

// The multiplications of a box as dots: all of them where they are few, or those of the animation's step, with outlines of
// what they read and write.
function addMultiplications(scene, node, box, place, view) {
    const a = node.left.value, b = node.right.value, I = box.rows, K = box.depth, J = box.cols, moving = place && place.n !== undefined;
    const ranges = moving ? animationRanges(view.animation, place.n, I, K, J) : {i: [0, I], k: [0, K], j: [0, J]};
    const count = ['i', 'k', 'j'].reduce((n, key) => n * (ranges[key][1] - ranges[key][0]), 1);
    if (moving)
        addOutlines(scene, node, box, ranges);
    if (count > MAX_DOTS || (place && !moving))
        return;
    const max = largestSize(a.data) * largestSize(b.data);
    for (let i = ranges.i[0]; i < ranges.i[1]; i++)
        for (let k = ranges.k[0]; k < ranges.k[1]; k++)
            for (let j = ranges.j[0]; j < ranges.j[1]; j++)
                scene.dots.push({at: along(along(along(box.origin, box.er, i + 0.5), box.ec, j + 0.5), box.ek, k + 0.5),
                    value: a.data[i * K + k] * b.data[k * J + j], max,
                    strong: Boolean(moving)});
}

// The step's part of the box, and what it reads and writes.
function addOutlines(scene, node, box, {i, k, j}) {
    const origin = along(along(along(box.origin, box.er, i[0]), box.ec, j[0]), box.ek, k[0]);
    const part = {...box, origin, rows: i[1] - i[0], cols: j[1] - j[0], depth: k[1] - k[0]}, turned = isTurned(node);
    scene.lines.push(...boxLines(part).map(l => ({...l, strong: true})));
    for (const q of scene.quads) {
        if (q.path === box.path)
            scene.lines.push(...(turned ? outline(q, j, i) : outline(q, i, j)));
        if (q.path === box.path + 'l' || q.path === box.path + 'r')
            scene.lines.push(...(q.path.endsWith('l') ? outline(q, i, k) : outline(q, k, j)));
    }
}

// A cell with a frame, and of a product the row and the column that it is made of.
function addSpot(scene, tree, layout, spot) {
    const node = nodeAt(tree, spot.path);
    for (const q of scene.quads.filter(f => f.path === spot.path))
        scene.lines.push(...outline(q, [spot.row, spot.row + 1], [spot.col, spot.col + 1]));
    if (!node.left)
        return;
    const [i, j] = isTurned(node) ? [spot.col, spot.row] : [spot.row, spot.col];
    for (const q of scene.quads.filter(f => f.path === spot.path + 'l'))
        scene.lines.push(...outline(q, [i, i + 1], [0, q.matrix.cols]));
    for (const q of scene.quads.filter(f => f.path === spot.path + 'r'))
        scene.lines.push(...outline(q, [0, q.matrix.rows], [j, j + 1]));
}

// "path.row.column" <-> {path, row, col}; null where the tree has no such cell. The root's path is "".
function spotOf(text, tree) {
    const m = /^([lr]*)\.(\d+)\.(\d+)$/.exec(text), node = m && nodeAt(tree, m[1]), [row, col] = m ? [Number(m[2]), Number(m[3])] : [];
    return node && row < node.value.rows && col < node.value.cols ? {path: m[1], row, col} : null;
}

function textOfSpot(spot) {
    return spot ? `${spot.path}.${spot.row}.${spot.col}` : '';
}

// ---- the camera -------------------------------------------------------------------------------------------------

const dot3 = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2], cross3 = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2],
    a[0] * b[1] - a[1] * b[0]];

// A camera that looks at the middle of the bounds from the direction of yaw (to the right) and pitch (upwards), in degrees.
// view = {yaw, pitch, zoom, panx, pany}: the pans are in radii of what is seen. {eye, right, up, forward, slope: half the
// height of what is seen at distance 1, aspect, near, far}
function cameraOf(view, [low, high], aspect) {
    const centre = low.map((x, i) => (x + high[i]) / 2), radius = Math.hypot(...low.map((x, i) => high[i] - x)) / 2 || 1;
    const yaw = view.yaw * Math.PI / 180, pitch = view.pitch * Math.PI / 180, slope = 0.3;
    const forward = [-Math.sin(yaw) * Math.cos(pitch), -Math.sin(pitch), -Math.cos(yaw) * Math.cos(pitch)];
    const right = [Math.cos(yaw), 0, -Math.sin(yaw)], up = cross3(right, forward), distance = radius / slope / Math.min(1, aspect) / view.zoom;
    const target = along(along(centre, right, view.panx * radius), up, view.pany * radius), eye = along(target, forward, -distance);
    return {eye, right, up, forward, slope, aspect, near: Math.max(0.01 * radius, distance - 3 * radius), far: distance + 3 * radius};
}

// Where a point lies in the picture: [x, y] from -1 to 1, to the right and up, and its distance along the view.
function projectPoint(camera, p) {
    const d = p.map((x, i) => x - camera.eye[i]), depth = dot3(d, camera.forward);
    return [dot3(d, camera.right) / (depth * camera.slope * camera.aspect), dot3(d, camera.up) / (depth * camera.slope), depth];
}

// The same as a matrix for WebGL, column after column.
function cameraMatrix(c) {
    const x = 1 / (c.slope * c.aspect), y = 1 / c.slope, a = (c.far + c.near) / (c.far - c.near), b = -2 * c.far * c.near / (c.far - c.near);
    const row = (v, s) => [...v.map(e => e * s), -dot3(v, c.eye) * s], rows = [row(c.right, x), row(c.up, y), row(c.forward, a), row(c.forward, 1)];
    rows[2][3] += b;
    return Float32Array.from([0, 1, 2, 3].flatMap(col => rows.map(r => r[col])));
}

// The nearest cell at [x, y] of the picture: {path, row, col}, or null.
function pickCell(scene, camera, [x, y]) {
    const direction = along(along(camera.forward, camera.right, x * camera.slope * camera.aspect), camera.up, y * camera.slope);
    let best = null, nearestAt = Infinity;
    for (const q of scene.quads) {
        const normal = cross3(q.er, q.ec), slant = dot3(direction, normal), t = dot3(q.origin.map((o, i) => o - camera.eye[i]), normal) / slant;
        if (Math.abs(slant) < 1e-9 || t <= 0 || t >= nearestAt)
            continue;
        const at = along(camera.eye, direction, t).map((p, i) => p - q.origin[i]), row = Math.floor(dot3(at, q.er)), col = Math.floor(dot3(at, q.ec));
        if (row >= 0 && row < q.matrix.rows && col >= 0 && col < q.matrix.cols && Number.isFinite(q.matrix.data[row * q.matrix.cols + col])) {
            best = {path: q.path, row, col};
            nearestAt = t;
        }
    }
    return best;
}
