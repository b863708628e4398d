// layout.js: where the blocks of an expression lie in space. Neither the document nor anything outside the arguments is
// touched.
//
// A product C = A B of A (I,K) and B (K,J) is a box of I x J x K multiplications, a unit each: A's face beside it, B's above
// or below, C's before it. Where A or B is a product itself, its box stands there with its result as the face (the idea is
// of bhosmer/mm). x goes to the right, y up, z to the reader.
'use strict';

const LAYOUTS = ['blocks', 'zigzag', 'wheel'];

function along(point, direction, distance) {
    return point.map((x, i) => x + direction[i] * distance);
}

function opposite(direction) {
    return direction.map(x => x === 0 ? 0 : -x);
}

// The corners [lowest, highest] of a box, and of a face, which has a little thickness.
function boxBounds(b) {
    const far = along(along(along(b.origin, b.er, b.rows), b.ec, b.cols), b.ek, b.depth);
    return [b.origin.map((x, i) => Math.min(x, far[i])), b.origin.map((x, i) => Math.max(x, far[i]))];
}

function faceBounds(f) {
    const far = along(along(f.origin, f.er, f.matrix.rows), f.ec, f.matrix.cols), normal = [0, 1, 2].map(i => f.er[i] || f.ec[i] ? 0 : 0.1);
    return [f.origin.map((x, i) => Math.min(x, far[i]) - normal[i]), f.origin.map((x, i) => Math.max(x, far[i]) + normal[i])];
}

function allBounds(part) {
    return [...part.boxes.map(boxBounds), ...part.faces.map(faceBounds)];
}

function overlap([low, high], [low2, high2]) {
    return [0, 1, 2].every(i => low[i] < high2[i] - 1e-9 && low2[i] < high[i] - 1e-9);
}

function shifted(part, direction, distance) {
    const move = p => along(p, direction, distance);
    return {boxes: part.boxes.map(b => ({...b, origin: move(b.origin)})), faces: part.faces.map(f => ({...f, origin: move(f.origin)})),
        links: part.links.map(l => l.map(move))};
}

function joined(...parts) {
    return {boxes: parts.flatMap(p => p.boxes), faces: parts.flatMap(p => p.faces), links: parts.flatMap(p => p.links)};
}

// Of an evaluated tree: {boxes: [{path, origin, er, ec, ek (directions of rows, columns, depth), rows, cols, depth}],
// faces: [{path, matrix, origin, er, ec, input: whether it is drawn beside the box that reads it}], links: [[from, to]]}.
function layoutOf(tree, kind) {
    const frame = {origin: [0, 0, 0], er: [0, -1, 0], ec: [1, 0, 0], ek: [0, 0, -1]};
    if (!tree.left)
        return {boxes: [], faces: [{path: '', matrix: tree.value, ...frame, input: true}], links: []};
    return kind === 'blocks' ? uprightPart(tree, '', frame) : nestedPart(tree, '', frame, kind, 0);
}

function gapOf(tree) {
    return Math.max(0.5, 0.04 * Math.max(tree.raw.rows, tree.raw.cols, tree.left.value.cols));
}

// The box of a product and the face of its result, whose rows and columns go along er and ec of the frame.
function boxPart(node, path, frame) {
    const {origin, ek} = frame, [er, ec] = isTurned(node) ? [frame.ec, frame.er] : [frame.er, frame.ec];
    const box = {path, origin, er, ec, ek, rows: node.raw.rows, cols: node.raw.cols, depth: node.left.value.cols};
    return {box, part: {boxes: [box], links: [],
        faces: [{path, matrix: node.value, origin: along(origin, ek, -gapOf(node)), er: frame.er, ec: frame.ec, input: false}]}};
}

// The planes on which a box reads its factors: {left, right}, each {origin, er, ec, out: the direction away from the box}.
// near: at the first column (row) of the box, else after its last one.
function inputPlanes(box, gap, near) {
    const left = near ? opposite(box.ec) : box.ec, right = near ? opposite(box.er) : box.er;
    return {left: {origin: along(box.origin, left, near ? gap : box.cols + gap), er: box.er, ec: box.ek, out: left},
        right: {origin: along(box.origin, right, near ? gap : box.rows + gap), er: box.ek, ec: box.ec, out: right}};
}

function inputFace(path, matrix, plane) {
    return {path, matrix, origin: plane.origin, er: plane.er, ec: plane.ec, input: true};
}

// Boxes at boxes. In a wheel each stands at the near side of the one that reads it, so that a chain turns around its
// beginning; in a zigzag at the far side from the second on, so that it goes on as stairs do. What would stand in another's
// place is moved away from its reader, which then has its input as a face of its own, with lines to it.
function nestedPart(node, path, frame, kind, level) {
    const {box, part} = boxPart(node, path, frame), gap = gapOf(node), planes = inputPlanes(box, gap, kind === 'wheel' || level === 0);
    let whole = part;
    for (const [side, factor] of [['left', node.left], ['right', node.right]]) {
        const plane = planes[side], below = path + side[0];
        if (!factor.left) {
            whole = joined(whole, {boxes: [], faces: [inputFace(below, factor.value, plane)], links: []});
            continue;
        }
        const inner = {origin: along(plane.origin, plane.out, gapOf(factor)), er: plane.er, ec: plane.ec, ek: plane.out};
        const child = nestedPart(factor, below, inner, kind, level + 1), distance = freeDistance(child, whole, plane.out, gap);
        whole = joined(whole, distance ? movedPart(child, below, factor, plane, distance) : child);
    }
    return whole;
}

function movedPart(child, path, factor, plane, distance) {
    const corners = [[0, 0], [0, 1], [1, 0], [1, 1]].map(([r, c]) => along(along(plane.origin, plane.er, r * factor.value.rows), plane.ec,
        c * factor.value.cols));
    return joined(shifted(child, plane.out, distance),
        {boxes: [], faces: [inputFace(path, factor.value, plane)], links: corners.map(p => [p, along(p, plane.out, distance)])});
}

// How far `part` is moved in a direction until it overlaps nothing of `others`.
function freeDistance(part, others, direction, gap) {
    const axis = direction.findIndex(x => x !== 0), taken = allBounds(others);
    let distance = 0;
    for (let tries = 0; tries < 100; tries++) {
        const own = allBounds(shifted(part, direction, distance));
        const further = own.flatMap(a => taken.filter(b => overlap(a, b)).map(b => direction[axis] > 0 ? b[1][axis] - a[0][axis] : a[1][axis] - b[0][axis]));
        if (!further.length)
            break;
        distance += Math.max(...further) + gap;
    }
    return distance;
}

// Each box upright with faces of its own, a tree whose root is on the right and whose factors stand to the left of their
// reader, one below the other.
function uprightPart(node, path, frame) {
    const {box, part} = boxPart(node, path, frame), gap = gapOf(node), planes = inputPlanes(box, gap, true);
    const inputs = {boxes: [], faces: ['left', 'right'].map(side => inputFace(path + side[0], node[side].value, planes[side])), links: []};
    const children = ['left', 'right'].filter(side => node[side].left).map(side => ({side, part: uprightPart(node[side], path + side[0], frame)}));
    const extents = children.map(c => boundsOf(c.part)), space = 2 * gap + 0.5 * box.depth;
    let top = extents.reduce((sum, [low, high]) => sum + high[1] - low[1], 0) / 2 + space * (children.length - 1) / 2 - box.rows / 2,
        whole = joined(part, inputs);
    children.forEach((c, i) => {
        const [low, high] = extents[i], left = along([0, 0, 0], [1, 0, 0], -gap - space - high[0]);
        const placed = shifted(shifted(c.part, [1, 0, 0], left[0]), [0, 1, 0], top - high[1]);
        top -= high[1] - low[1] + space;
        const from = placed.faces.find(f => f.path === path + c.side[0] && !f.input), to = inputs.faces.find(f => f.path === from.path);
        whole = joined(whole, placed, {boxes: [], faces: [], links: [[centreOf(from), centreOf(to)]]});
    });
    return whole;
}

function centreOf(face) {
    return along(along(face.origin, face.er, face.matrix.rows / 2), face.ec, face.matrix.cols / 2);
}

// The corners [lowest, highest] of all of a layout.
function boundsOf(part) {
    const list = allBounds(part);
    return [[0, 1, 2].map(i => Math.min(...list.map(b => b[0][i]))), [0, 1, 2].map(i => Math.max(...list.map(b => b[1][i])))];
}
