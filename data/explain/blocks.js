// blocks.js: draws a scene (scene.js) by WebGL, or flat on a two-dimensional canvas where there is none: then faces of many
// cells are coarser and a face covers another as a whole.
'use strict';

// theme = {paper, ink, soft: colours as [red, green, blue] from 0 to 1, colours: for valueColour, size: of a dot in cells}

// ---- WebGL ------------------------------------------------------------------------------------------------------

const FACE_VERTEX = `
    attribute vec3 place; attribute vec2 within; uniform mat4 camera; varying vec2 cell;
    void main() { gl_Position = camera * vec4(place, 1.0); cell = within; }`;
// A texture has a pixel a cell; between cells of more than some pixels stands a line.
const FACE_FRAGMENT = `
    precision highp float; uniform sampler2D cells; uniform vec2 size; uniform float line; uniform vec3 paper; varying vec2 cell;
    void main() {
        vec4 colour = texture2D(cells, cell / size);
        if (colour.a < 0.5) discard;
        vec2 edge = min(fract(cell), 1.0 - fract(cell));
        gl_FragColor = vec4(mix(paper, colour.rgb, min(edge.x, edge.y) < line ? 0.35 : 1.0), 1.0);
    }`;
const MARK_VERTEX = `
    attribute vec3 place; attribute vec3 tint; attribute float size; uniform mat4 camera; uniform float scale; varying vec3 colour;
    void main() { gl_Position = camera * vec4(place, 1.0); gl_PointSize = max(1.5, size * scale / gl_Position.w); colour = tint; }`;
const MARK_FRAGMENT = `
    precision mediump float; varying vec3 colour;
    void main() { gl_FragColor = vec4(colour, 1.0); }`;

function makeProgram(gl, vertex, fragment) {
    const program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
        const shader = gl.createShader(type);
        gl.shaderSource(shader, source);
        gl.compileShader(shader);
        gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null;
}

// Something that draws into a canvas by WebGL: draw(scene, camera, theme), or null where there is no WebGL.
function makeWebglRenderer(canvas) {
    const gl = canvas.getContext('webgl', {antialias: true, preserveDrawingBuffer: true});
    const faces = gl && makeProgram(gl, FACE_VERTEX, FACE_FRAGMENT), marks = gl && makeProgram(gl, MARK_VERTEX, MARK_FRAGMENT);
    if (!faces || !marks)
        return null;
    const buffer = gl.createBuffer(), textures = new Map();
    const attributes = (program, data, ...parts) => {
        gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
        gl.bufferData(gl.ARRAY_BUFFER, Float32Array.from(data), gl.DYNAMIC_DRAW);
        const stride = parts.reduce((n, [, size]) => n + size, 0);
        let offset = 0;
        for (const [name, size] of parts) {
            const place = gl.getAttribLocation(program, name);
            gl.enableVertexAttribArray(place);
            gl.vertexAttribPointer(place, size, gl.FLOAT, false, 4 * stride, 4 * offset);
            offset += size;
        }
    };
    const uniform = (program, name) => gl.getUniformLocation(program, name);
    const drawFace = (q, camera, theme) => {
        const {rows, cols} = q.matrix, corner = (r, c) => [...along(along(q.origin, q.er, r), q.ec, c), c, r];
        gl.bindTexture(gl.TEXTURE_2D, textureOf(gl, textures, q, theme.colours));
        gl.uniform2f(uniform(faces, 'size'), cols, rows);
        const pixels = canvas.height / (2 * camera.slope * projectPoint(camera, q.origin)[2]); // of a cell
        gl.uniform1f(uniform(faces, 'line'), pixels > 8 ? 0.7 / pixels : 0);
        attributes(faces, [corner(0, 0), corner(0, cols), corner(rows, 0), corner(rows, cols)].flat(), ['place', 3], ['within', 2]);
        gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    };
    const draw = (scene, camera, theme) => {
        const matrix = cameraMatrix(camera);
        gl.viewport(0, 0, canvas.width, canvas.height);
        gl.clearColor(...theme.paper, 1);
        gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
        gl.enable(gl.DEPTH_TEST);
        gl.useProgram(faces);
        gl.uniformMatrix4fv(uniform(faces, 'camera'), false, matrix);
        gl.uniform3f(uniform(faces, 'paper'), ...theme.paper);
        scene.quads.forEach(q => drawFace(q, camera, theme));
        gl.useProgram(marks);
        gl.uniformMatrix4fv(uniform(marks, 'camera'), false, matrix);
        gl.uniform1f(uniform(marks, 'scale'), canvas.height / (2 * camera.slope));
        attributes(marks, scene.dots.flatMap(d => [...d.at, ...valueColour(d.value, d.max, theme.colours), dotSize(d)]), ['place', 3],
            ['tint', 3], ['size', 1]);
        gl.drawArrays(gl.POINTS, 0, scene.dots.length);
        attributes(marks, scene.lines.flatMap(l => [l.from, l.to].flatMap(p => [...p, ...(l.strong ? theme.ink : theme.soft), 0])),
            ['place', 3], ['tint', 3], ['size', 1]);
        gl.drawArrays(gl.LINES, 0, 2 * scene.lines.length);
        forgetTextures(gl, textures, scene);
    };
    return {draw};
}

// The side of a multiplication's dot, in cells: the larger the product, the larger.
function dotSize(d) {
    return (d.strong ? 0.3 : 0.12) + (d.strong ? 0.5 : 0.3) * (d.max > 0 ? Math.min(1, Math.abs(d.value) / d.max) : 0);
}

// The texture of a face, which is kept while its matrix and colours are the same.
function textureOf(gl, textures, q, colours) {
    const key = JSON.stringify([q.max, colours]), known = textures.get(q.matrix);
    if (known?.key === key)
        return known.texture;
    const texture = known?.texture ?? gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, q.matrix.cols, q.matrix.rows, 0, gl.RGBA, gl.UNSIGNED_BYTE, pixelsOf(q.matrix, q.max, colours));
    for (const [name, value] of [[gl.TEXTURE_MIN_FILTER, gl.NEAREST], [gl.TEXTURE_MAG_FILTER, gl.NEAREST],
        [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE]])
        gl.texParameteri(gl.TEXTURE_2D, name, value);
    textures.set(q.matrix, {key, texture});
    return texture;
}

function forgetTextures(gl, textures, scene) {
    const needed = new Set(scene.quads.map(q => q.matrix));
    for (const [matrix, {texture}] of textures)
        if (!needed.has(matrix)) {
            gl.deleteTexture(texture);
            textures.delete(matrix);
        }
}

// ---- flat -------------------------------------------------------------------------------------------------------

const FLAT_CELLS = 48; // of a face, in a row and in a column, at most
const FLAT_DOTS = 4000;

// The same by a two-dimensional canvas: faces from the farthest to the nearest, dots with them.
function makeFlatRenderer(canvas) {
    const context = canvas.getContext('2d');
    const draw = (scene, camera, theme) => {
        const at = p => {
            const [x, y, depth] = projectPoint(camera, p);
            return [(x + 1) / 2 * canvas.width, (1 - y) / 2 * canvas.height, depth];
        };
        context.fillStyle = cssColour(theme.paper);
        context.fillRect(0, 0, canvas.width, canvas.height);
        const dots = scene.dots.length <= FLAT_DOTS ? scene.dots : everyNth(scene.dots, Math.ceil(scene.dots.length / FLAT_DOTS));
        const items = [...scene.quads.map(q => ({depth: at(along(along(q.origin, q.er, q.matrix.rows / 2), q.ec, q.matrix.cols / 2))[2],
            draw: () => drawFlatFace(context, q, at, theme)})),
            ...dots.map(d => ({depth: at(d.at)[2], draw: () => drawFlatDot(context, d, at, theme, canvas.height / (2 * camera.slope))})),
            ...scene.lines.map(l => ({depth: Math.min(at(l.from)[2], at(l.to)[2]), draw: () => drawFlatLine(context, l, at, theme)}))];
        items.sort((a, b) => b.depth - a.depth).forEach(i => i.draw());
    };
    return {draw};
}

function drawFlatFace(context, q, at, theme) {
    const {rows, cols, data} = q.matrix, down = Math.ceil(rows / FLAT_CELLS), across = Math.ceil(cols / FLAT_CELLS);
    for (let r = 0; r < rows; r += down)
        for (let c = 0; c < cols; c += across) {
            const value = data[r * cols + c], corner = (y, x) => at(along(along(q.origin, q.er, Math.min(rows, y)), q.ec, Math.min(cols, x)));
            if (!Number.isFinite(value))
                continue;
            context.fillStyle = cssColour(valueColour(value, q.max, theme.colours));
            context.strokeStyle = rows * cols <= 400 ? cssColour(theme.paper) : context.fillStyle;
            context.lineWidth = 0.7;
            context.beginPath();
            [corner(r, c), corner(r, c + across), corner(r + down, c + across), corner(r + down, c)].forEach(([x, y],
                i) => i ? context.lineTo(x, y) : context.moveTo(x, y));
            context.closePath();
            context.fill();
            context.stroke();
        }
}

function drawFlatDot(context, d, at, theme, scale) {
    const [x, y, depth] = at(d.at), side = Math.max(1.5, dotSize(d) * scale / depth);
    context.fillStyle = cssColour(valueColour(d.value, d.max, theme.colours));
    context.fillRect(x - side / 2, y - side / 2, side, side);
}

function drawFlatLine(context, l, at, theme) {
    const [from, to] = [at(l.from), at(l.to)];
    context.strokeStyle = cssColour(l.strong ? theme.ink : theme.soft);
    context.lineWidth = l.strong ? 1.6 : 0.6;
    context.beginPath();
    context.moveTo(from[0], from[1]);
    context.lineTo(to[0], to[1]);
    context.stroke();
}

// ---- the picture ------------------------------------------------------------------------------------------------

// The names of the faces and the value of the spot, each on a patch of the page's colour.
function drawLabels(context, scene, camera, theme, scale) {
    const {width, height} = context.canvas;
    context.clearRect(0, 0, width, height);
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.font = `${13 * scale}px system-ui, sans-serif`;
    for (const label of scene.labels) {
        const [x, y, depth] = projectPoint(camera, label.at), px = (x + 1) / 2 * width, py = (1 - y) / 2 * height,
            wide = context.measureText(label.text).width + 8 * scale;
        if (depth <= camera.near)
            continue;
        context.globalAlpha = 0.75;
        context.fillStyle = cssColour(theme.paper);
        context.fillRect(px - wide / 2, py - 9 * scale, wide, 18 * scale);
        context.globalAlpha = 1;
        context.fillStyle = cssColour(theme.ink);
        context.fillText(label.text, px, py);
    }
}

function blocksTheme(colours) {
    const shade = name => themeColour(name).map(x => x / 255), paper = shade('--paper');
    return {paper, ink: shade('--ink'), soft: shade('--soft'), colours: {...colours, dark: paper[0] + paper[1] + paper[2] < 1.5}};
}

// How a drag or a key changes the view: turn by degrees, pan by radii, zoom by a factor.
function changedView(view, {turn = [0, 0], pan = [0, 0], zoom = 1}) {
    const round = x => Math.round(x * 1000) / 1000, limited = (x, low, high) => Math.min(high, Math.max(low, x));
    return {yaw: round(((view.yaw + turn[0] + 180) % 360 + 360) % 360 - 180), pitch: round(limited(view.pitch + turn[1], -89, 89)),
        zoom: round(limited(view.zoom * zoom, 0.2, 20)), panx: round(limited(view.panx + pan[0], -5, 5)),
            pany: round(limited(view.pany + pan[1], -5, 5))};
}

const VIEW_KEYS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};

// What a key does to the view, null for other keys: arrows turn, with shift they pan; + and - zoom.
function keyedView(view, key, shift) {
    const way = VIEW_KEYS[key];
    if (way)
        return changedView(view, shift ? {pan: way.map(x => -0.1 * x)} : {turn: way.map(x => 10 * x)});
    return ['+', '='].includes(key) ? changedView(view, {zoom: 1.2}) : key === '-' ? changedView(view, {zoom: 1 / 1.2}) : null;
}

// A picture of blocks that lives as long as the page: {element, show(scene, view, colours, still), canvas}. onview(view,
// whether it is the end of a movement) is called when the reader turns, pans or zooms; onpick(cell) when one is clicked.
function makeBlocks({onview, onpick}) {
    const stage = makeElement('div', {class: 'stage'}), labels = makeElement('canvas', {class: 'labels', role: 'img', tabindex: 0,
        'aria-label': 'Blocks of multiplications; arrow keys turn, with shift they move, + and - zoom; the matrices are in the tables below'});
    const state = {scene: null, view: null, colours: null, still: null, canvas: null, renderer: null, flat: false};
    const prepare = still => {
        if (state.still === still)
            return;
        const fresh = () => makeElement('canvas', {});
        state.still = still;
        state.canvas = fresh();
        state.renderer = still ? null : makeWebglRenderer(state.canvas);
        state.flat = !state.renderer;
        if (state.flat)
            state.canvas = fresh(), state.renderer = makeFlatRenderer(state.canvas);
        stage.replaceChildren(state.canvas, labels);
    };
    const paint = () => {
        const box = stage.getBoundingClientRect(), scale = Math.min(2, devicePixelRatio || 1);
        if (!state.scene || !box.width)
            return;
        for (const c of [state.canvas, labels])
            c.width = Math.round(box.width * scale), c.height = Math.round(box.height * scale);
        const theme = blocksTheme(state.colours);
        state.camera = cameraOf(state.view, state.scene.bounds, box.width / box.height);
        state.renderer.draw(state.scene, state.camera, theme);
        drawLabels(labels.getContext('2d'), state.scene, state.camera, theme, scale);
    };
    const show = (scene, view, colours, still) => {
        prepare(still);
        Object.assign(state, {scene, view, colours});
        paint();
    };
    steerBlocks(labels, state, paint, onview, onpick);
    addEventListener('resize', paint);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);
    const picture = () => {
        const canvas = makeElement('canvas', {width: labels.width, height: labels.height}), context = canvas.getContext('2d');
        context.drawImage(state.canvas, 0, 0);
        context.drawImage(labels, 0, 0);
        return canvas;
    };
    return {element: stage, show, picture, state};
}

// One pointer turns, with shift, the right button or two pointers pans; two pointers and the wheel zoom.
function steerBlocks(canvas, state, paint, onview, onpick) {
    const pointers = new Map();
    let moved = false;
    const change = (view, end) => {
        state.view = view;
        paint();
        onview(view, end);
    };
    const spread = () => {
        const [a, b] = [...pointers.values()];
        return {x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) || 1};
    };
    canvas.addEventListener('pointerdown', e => {
        moved = pointers.size > 0;
        pointers.set(e.pointerId, {x: e.clientX, y: e.clientY});
        if (e.isTrusted) // a script's event has no pointer to capture
            canvas.setPointerCapture(e.pointerId);
    });
    canvas.addEventListener('pointermove', e => {
        const last = pointers.get(e.pointerId), size = canvas.clientHeight || 1;
        if (!last)
            return;
        const before = pointers.size === 2 ? spread() : null, dx = e.clientX - last.x, dy = e.clientY - last.y;
        moved = moved || Math.hypot(dx, dy) > 2;
        if (!moved)
            return;
        pointers.set(e.pointerId, {x: e.clientX, y: e.clientY});
        if (before) {
            const now = spread(), zoom = state.view.zoom;
            change(changedView(state.view, {zoom: now.apart / before.apart, pan: [-2 * (now.x - before.x) / size / zoom,
                2 * (now.y - before.y) / size / zoom]}), false);
        } else if (e.shiftKey || e.buttons === 2) {
            change(changedView(state.view, {pan: [-2 * dx / size / state.view.zoom, 2 * dy / size / state.view.zoom]}), false);
        } else {
            change(changedView(state.view, {turn: [-0.4 * dx, 0.4 * dy]}), false);
        }
    });
    const release = e => {
        const known = pointers.delete(e.pointerId);
        if (known && !moved && e.type === 'pointerup') {
            const box = canvas.getBoundingClientRect();
            onpick(pickCell(state.scene, state.camera, [2 * (e.clientX - box.left) / box.width - 1, 1 - 2 * (e.clientY - box.top) / box.height]));
        } else if (known) {
            onview(state.view, true);
        }
    };
    canvas.addEventListener('pointerup', release);
    canvas.addEventListener('pointercancel', release);
    canvas.addEventListener('contextmenu', e => e.preventDefault());
    canvas.addEventListener('wheel', e => {
        e.preventDefault();
        change(changedView(state.view, {zoom: Math.exp(-0.001 * e.deltaY)}), true);
    }, {passive: false});
    canvas.addEventListener('keydown', e => {
        const view = keyedView(state.view, e.key, e.shiftKey);
        if (view) {
            e.preventDefault();
            change(view, true);
        }
    });
}
