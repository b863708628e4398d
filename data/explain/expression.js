// expression.js: expressions of matrix products, such as
//
//     out = (attn = softmax(tril(Q K^T / sqrt(D)))) V wO
//
// parsed into a tree, printed again, evaluated. Neither the document nor anything outside the arguments is touched; what is
// wrong in an expression is an Error of one sentence. The functions of rows are those of layers.js.
//
//     expression = [NAME "="] term {["@"] term} {"/" divisor}      products from left to right, divided as a whole
//     term       = (NAME | "(" expression ")" | FUNCTION "(" expression ")") {"^T"}
//     divisor    = NUMBER | NAME | "sqrt(" (NUMBER | NAME) ")"
//
// A node is {left, right} of a product or {source} of a given matrix, with {name, epilogue}: what is done to the product
// or matrix before it is used, in this order, as texts: a function's name, "^T", or "/ DIVISOR". A matrix is
// {rows, cols, data: Float64Array}, rows one after another.
'use strict';

// ---- matrices ---------------------------------------------------------------------------------------------------

function makeMatrix(rows, cols, data = new Float64Array(rows * cols)) {
    return {rows, cols, data};
}

function matrixOfRows(rows) {
    return makeMatrix(rows.length, rows[0].length, Float64Array.from(rows.flat()));
}

function transposed(m) {
    const t = makeMatrix(m.cols, m.rows);
    for (let r = 0; r < m.rows; r++)
        for (let c = 0; c < m.cols; c++)
            t.data[c * m.rows + r] = m.data[r * m.cols + c];
    return t;
}

// a b      a (I,K), b (K,J); k ascending
function multiply(a, b) {
    const out = makeMatrix(a.rows, b.cols);
    for (let i = 0; i < a.rows; i++)
        for (let k = 0; k < a.cols; k++) {
            const factor = a.data[i * a.cols + k];
            for (let j = 0; j < b.cols; j++)
                out.data[i * b.cols + j] += factor * b.data[k * b.cols + j];
        }
    return out;
}

// Columns [from, from + count) of a matrix.
function columnsOf(m, from, count) {
    const out = makeMatrix(m.rows, count);
    for (let r = 0; r < m.rows; r++)
        out.data.set(m.data.subarray(r * m.cols + from, r * m.cols + from + count), r * count);
    return out;
}

function rowsOf(m, from, count) {
    return makeMatrix(count, m.cols, m.data.slice(from * m.cols, (from + count) * m.cols));
}

// One matrix below another.
function stacked(above, below) {
    return makeMatrix(above.rows + below.rows, above.cols, Float64Array.from([...above.data, ...below.data]));
}

// ---- epilogues --------------------------------------------------------------------------------------------------

function mapped(m, f) {
    return makeMatrix(m.rows, m.cols, m.data.map(f));
}

// f(row) on each row, a Float64Array that it changes.
function mappedRows(m, f) {
    const out = makeMatrix(m.rows, m.cols, m.data.slice());
    for (let r = 0; r < m.rows; r++)
        f(out.data.subarray(r * m.cols, (r + 1) * m.cols), r);
    return out;
}

const FUNCTIONS = {
    relu: m => mapped(m, x => Math.max(0, x)),
    gelu: m => mapped(m, geluTanh),
    sigmoid: m => mapped(m, sigmoid),
    silu: m => mapped(m, x => x * sigmoid(x)),
    tanh: m => mapped(m, Math.tanh),
    layernorm: m => mappedRows(m, row => normalizeRow(row)),
    softmax: m => mappedRows(m, softmaxRow),
    tril: m => mappedRows(m, (row, r) => row.fill(-Infinity, r + 1)), // the causal mask: softmax makes 0 of it
};

// The epilogues that the page offers for a product, by name; K: its inner dimension, a number or the name of one.
function epilogueChoices(K) {
    return {none: [], relu: ['relu'], gelu: ['gelu'], sigmoid: ['sigmoid'], silu: ['silu'], tanh: ['tanh'], 'layer norm': ['layernorm'],
        softmax: ['softmax'], 'scaled softmax': [`/ sqrt(${K})`, 'softmax'], 'masked softmax': [`/ sqrt(${K})`, 'tril', 'softmax']};
}

// ---- parsing ----------------------------------------------------------------------------------------------------

function tokensOf(text) {
    const tokens = text.match(/\^T(?!\w)|[A-Za-z_]\w*|\d+(?:\.\d+)?|[()=@/]|\S/g) || [];
    const wrong = tokens.find(t => !/^(\^T|[A-Za-z_]\w*|\d.*|[()=@/])$/.test(t));
    if (wrong)
        throw new Error(`"${wrong}" is not understood; an expression has names, products, ( ), ^T, / and functions`);
    return tokens;
}

function parseExpression(text) {
    const tokens = tokensOf(text), p = {tokens, at: 0};
    if (!tokens.length)
        throw new Error('the expression is empty');
    const tree = parseNamed(p);
    if (p.at < tokens.length)
        throw new Error(`"${tokens[p.at]}" is not expected ${place(p)}`);
    return tree;
}

function place(p) {
    return p.at ? `after "${p.tokens.slice(Math.max(0, p.at - 3), p.at).join(' ')}"` : 'at the beginning';
}

function take(p, token) {
    if (p.tokens[p.at] !== token)
        throw new Error(`"${token}" is missing ${place(p)}`);
    p.at++;
}

const isName = token => token !== undefined && /^[A-Za-z_]/.test(token);

function parseNamed(p) {
    const name = isName(p.tokens[p.at]) && p.tokens[p.at + 1] === '=' ? p.tokens[p.at] : '';
    if (name)
        p.at += 2;
    let node = parseTerm(p);
    while (p.at < p.tokens.length && ['(', '@'].includes(p.tokens[p.at]) || isName(p.tokens[p.at])) {
        if (p.tokens[p.at] === '@')
            p.at++;
        node = {left: node, right: parseTerm(p), name: '', epilogue: []};
    }
    while (p.tokens[p.at] === '/') {
        p.at++;
        node.epilogue.push(`/ ${parseDivisor(p)}`);
    }
    if (name && node.name && name !== node.name)
        throw new Error(`${name} and ${node.name} name the same product`);
    node.name = name || node.name;
    return node;
}

function parseTerm(p) {
    const token = p.tokens[p.at];
    let node;
    if (token === '(' || (isName(token) && p.tokens[p.at + 1] === '(' && Object.hasOwn(FUNCTIONS, token))) {
        p.at += token === '(' ? 1 : 2;
        node = parseNamed(p);
        take(p, ')');
        if (token !== '(')
            node.epilogue.push(token);
    } else if (isName(token)) {
        p.at++;
        node = {source: token, name: '', epilogue: []};
    } else {
        throw new Error(`a matrix is missing ${place(p)}`);
    }
    for (; p.tokens[p.at] === '^T'; p.at++)
        node.epilogue.push('^T');
    return node;
}

function parseDivisor(p) {
    const root = p.tokens[p.at] === 'sqrt';
    if (root)
        p.at++, take(p, '(');
    const value = p.tokens[p.at];
    if (!isName(value) && !/^\d/.test(value ?? ''))
        throw new Error(`a number is missing ${place(p)}`);
    p.at++;
    if (root)
        take(p, ')');
    return root ? `sqrt(${value})` : value;
}

// The text of a tree; parseExpression makes the same tree of it.
function printExpression(node, within = '') {
    let text = node.source ?? `${printExpression(node.left, 'left')} ${printExpression(node.right, 'right')}`, bare = node.source !== undefined;
    let open = !bare; // a product in no parentheses, which would have to be put around it before ^T
    for (const e of node.epilogue) {
        if (e.startsWith('/'))
            text = `${text} ${e}`, open = true;
        else if (e === '^T')
            text = `${open ? `(${text})` : text}^T`, open = false;
        else
            text = `${e}(${text})`, open = false;
    }
    if (node.name)
        text = `${node.name} = ${text}`;
    const joins = within === 'left' && !node.name && !node.epilogue.length; // a b c is (a b) c
    return within && (node.name || (open && !joins)) ? `(${text})` : text;
}

// ---- the tree ---------------------------------------------------------------------------------------------------

// The nodes by path: '' is the root, 'l' its left factor, 'lr' that one's right one. A product comes after its factors.
function nodesOf(tree, path = '') {
    const below = tree.left ? [...nodesOf(tree.left, path + 'l'), ...nodesOf(tree.right, path + 'r')] : [];
    return [...below, {path, node: tree}];
}

function nodeAt(tree, path) {
    return [...path].reduce((node, side) => node && (side === 'l' ? node.left : node.right), tree) ?? null;
}

// What a node is called: its name, or its expression with named parts by their name.
function labelOf(node) {
    if (node.name)
        return node.name;
    const short = n => n.name && n.left ? {source: n.name, name: '', epilogue: []} : n.left ? {...n, left: short(n.left), right: short(n.right)} : n;
    return printExpression(node.left ? {...node, left: short(node.left), right: short(node.right)} : node);
}

// Whether a node's value is its product (or given matrix) with rows and columns exchanged.
function isTurned(node) {
    return node.epilogue.filter(e => e === '^T').length % 2 === 1;
}

// A copy of the tree in which the node at `path` has another epilogue; a transposition stays.
function withEpilogue(tree, path, epilogue) {
    if (!path)
        return {...tree, epilogue: [...epilogue, ...tree.epilogue.filter(e => e === '^T')]};
    const side = path[0] === 'l' ? 'left' : 'right';
    return {...tree, [side]: withEpilogue(tree[side], path.slice(1), epilogue)};
}

// [rows, columns] of a node, from those of the given matrices: {NAME: [rows, columns]}.
function shapeOf(node, shapes) {
    let shape;
    if (node.left) {
        const [a, b] = [shapeOf(node.left, shapes), shapeOf(node.right, shapes)];
        if (a[1] !== b[0])
            throw new Error(`${labelOf(node.left)} [${a.join(', ')}] times ${labelOf(node.right)} [${b.join(', ')}]: ${a[1]} columns, ${b[0]} rows`);
        shape = [a[0], b[1]];
    } else {
        if (!Object.hasOwn(shapes, node.source))
            throw new Error(`there is no matrix ${node.source}; there are ${Object.keys(shapes).join(', ')}`);
        shape = shapes[node.source];
    }
    return node.epilogue.reduce((s, e) => e === '^T' ? [s[1], s[0]] : s, shape);
}

function divisorOf(text, scalars) {
    const root = /^sqrt\((.*)\)$/.exec(text), name = root ? root[1] : text, value = /^\d/.test(name) ? Number(name) : scalars[name];
    if (!(value > 0))
        throw new Error(`${name} is no positive number here; there are ${Object.keys(scalars).join(', ')}`);
    return root ? Math.sqrt(value) : value;
}

function applyEpilogue(m, epilogue, scalars) {
    return epilogue.reduce((x, e) => {
        if (e === '^T')
            return transposed(x);
        if (!e.startsWith('/'))
            return FUNCTIONS[e](x);
        const divisor = divisorOf(e.slice(2), scalars);
        return mapped(x, v => v / divisor);
    }, m);
}

const MAX_MULTIPLICATIONS = 2e8;

// The tree with, at each node, `value`, and at each product `raw`, that before the epilogue.
// given = {matrices: {NAME: matrix}, scalars: {NAME: number}}
function evaluate(tree, given) {
    shapeOf(tree, Object.fromEntries(Object.entries(given.matrices).map(([name, m]) => [name, [m.rows, m.cols]])));
    const visit = node => {
        if (!node.left)
            return {...node, value: applyEpilogue(given.matrices[node.source], node.epilogue, given.scalars)};
        const left = visit(node.left), right = visit(node.right), a = left.value, b = right.value;
        if (a.rows * a.cols * b.cols > MAX_MULTIPLICATIONS)
            throw new Error(`${labelOf(node)} has more than ${MAX_MULTIPLICATIONS / 1e6} million multiplications`);
        const raw = multiply(a, b);
        return {...node, left, right, raw, value: applyEpilogue(raw, node.epilogue, given.scalars)};
    };
    return visit(tree);
}
