// animation.js: in which order a product's multiplications are shown. Neither the document nor anything outside the
// arguments is touched.
//
// Of C = A B, of A (I,K) and B (K,J), a step shows the multiplications A[i,k] B[k,j] of a range of i, k and j:
//     dot product      those of one C[i,j]: row i of A with column j of B
//     axpy             those of one A[i,k] with row k of B, added to row i of C
//     vector-matrix    row i of A with all of B: row i of C
//     matrix-vector    all of A with column j of B: column j of C
//     outer product    column k of A with row k of B, added to all of C
'use strict';

const ANIMATIONS = {
    'dot product': {steps: (I, K, J) => I * J, fixed: (n, I, K, J) => ({i: Math.floor(n / J), j: n % J})},
    axpy: {steps: (I, K) => I * K, fixed: (n, I, K) => ({i: Math.floor(n / K), k: n % K})},
    'vector-matrix': {steps: I => I, fixed: n => ({i: n})},
    'matrix-vector': {steps: (I, K, J) => J, fixed: n => ({j: n})},
    'outer product': {steps: (I, K) => K, fixed: n => ({k: n})},
};

function animationSteps(kind, I, K, J) {
    return ANIMATIONS[kind].steps(I, K, J);
}

// The ranges [from, to) of step n: {i, k, j}.
function animationRanges(kind, n, I, K, J) {
    const fixed = ANIMATIONS[kind].fixed(n, I, K, J), range = (key, size) => fixed[key] === undefined ? [0, size] : [fixed[key], fixed[key] + 1];
    return {i: range('i', I), k: range('k', K), j: range('j', J)};
}

// The product after steps 0..n; NaN where no step has been yet.
function partialProduct(a, b, kind, n) {
    const I = a.rows, K = a.cols, J = b.cols, out = makeMatrix(I, J, new Float64Array(I * J).fill(NaN)), last = animationRanges(kind, n, I, K, J);
    for (let i = 0; i < I; i++)
        for (let j = 0; j < J; j++) {
            const depth = partialDepth(kind, i, j, last, K);
            let sum = depth ? 0 : NaN;
            for (let k = 0; k < depth; k++)
                sum += a.data[i * K + k] * b.data[k * J + j];
            out.data[i * J + j] = sum;
        }
    return out;
}

// How many of the K multiplications of C[i,j] have been shown once `last` has.
function partialDepth(kind, i, j, last, K) {
    if (kind === 'outer product')
        return last.k[1];
    if (kind === 'axpy')
        return i < last.i[0] ? K : i === last.i[0] ? last.k[1] : 0;
    const done = kind === 'matrix-vector' ? j < last.j[1] : i < last.i[0] || (i === last.i[0] && j < last.j[1]);
    return done ? K : 0;
}

// The steps of a whole expression: one product after another, factors first, or that of `path` alone ("" is all):
// [{path, steps}].
function animationOrder(tree, kind, path) {
    return nodesOf(tree).filter(n => n.node.left && (!path || n.path === path || (path === '.' && n.path === '')))
        .map(({path: p, node}) => ({path: p, steps: animationSteps(kind, node.raw.rows, node.left.value.cols, node.raw.cols)}));
}

// Step n of an order: {path, n: the step within that product, done: paths that are complete, total}.
function animationPlace(order, n) {
    const total = order.reduce((sum, o) => sum + o.steps, 0), done = [];
    let rest = Math.min(Math.max(0, n), total - 1);
    for (const o of order) {
        if (rest < o.steps)
            return {path: o.path, n: rest, done, total};
        rest -= o.steps;
        done.push(o.path);
    }
    return {path: '', n: 0, done, total};
}
