// gpt.js: the page of gpt.html: its files, its controls, its state in the address; the sections are in gpt_sections.js.
'use strict';

// token -1: the first mask, or the last token of the prompt.
const GPT_DEFAULTS = {layer: 0, head: 0, token: -1, norm: 'first', temperature: 1, k: 0, p: 1};

const SECTIONS = [
    {id: 'norm', uses: ['layer', 'token', 'norm'], draw: drawNorm},
    {id: 'gelu', uses: ['layer', 'token'], draw: drawGelu},
    {id: 'mlp', uses: ['layer', 'token'], draw: drawMlp},
    {id: 'attention', uses: ['layer', 'head', 'token'], draw: drawAttention},
    {id: 'modules', uses: [], draw: drawModules},
    {id: 'head', uses: ['token'], draw: drawHead},
    {id: 'optimizer', uses: [], draw: drawOptimizer},
    {id: 'flops', uses: [], draw: drawFlops},
    {id: 'generation', uses: ['token', 'temperature', 'k', 'p'], draw: drawGeneration},
];

// ---- files --------------------------------------------------------------------------------------------------------

function fileOf(files, name, damaged) {
    const file = files.find(f => f.file === name);
    if (!file && damaged)
        throw new Error(`it carries no ${name}`);
    return file;
}

function jsonOfFile(files, name) {
    const file = fileOf(files, name, true);
    try {
        return JSON.parse(textOfBytes(file.bytes));
    } catch {
        throw new Error(`its ${name} is no JSON`);
    }
}

// {m, labels, files: {info, mfu, config}, promptLength, folder} of the files that pipelines/explain.sh puts into the page.
function readGpt(files) {
    const file = fileOf(files, 'trace.safetensors', true), m = modelOfTrace(readSafetensors(file.bytes));
    const config = fileOf(files, 'config.yaml', false), sample = fileOf(files, 'sample.json', false);
    const made = sample ? jsonOfFile(files, 'sample.json').ids.length : 0;
    return {m, labels: labelsOf(m), folder: file.folder, promptLength: Math.max(1, m.T - made),
        files: {info: jsonOfFile(files, 'info.json'), mfu: jsonOfFile(files, 'mfu.json'), config: config ? readConfig(textOfBytes(config.bytes)) : []}};
}

// Every member of the state in its range.
function validGptState(state, {m, promptLength}) {
    const whole = (x, low, high, standard) => Number.isInteger(x) && x >= low && x <= high ? x : standard;
    const standard = maskPlaces(m)[0] ?? promptLength - 1, clamp = (x, low, high) => Math.max(low, Math.min(high, x));
    return {...state, layer: whole(state.layer, 0, m.L - 1, 0), head: whole(state.head, 0, m.H - 1, 0), token: whole(state.token, 0, m.T - 1, standard),
        temperature: clamp(state.temperature, 0, 2), k: whole(state.k, 0, m.V, 0), p: clamp(state.p, 0.01, 1)};
}

// ---- controls -----------------------------------------------------------------------------------------------------

// {element, set(state)}; options: [[value, label], ...].
function selectControl(label, key, options, change) {
    const select = makeElement('select', {onchange: e => change({[key]: typeof GPT_DEFAULTS[key] === 'number' ? Number(e.target.value) : e.target.value})},
        ...options.map(([value, text]) => makeElement('option', {value}, text)));
    return {element: makeElement('label', {}, label, select), set: state => select.value = state[key]};
}

function rangeControl(label, key, attributes, show, change) {
    const input = makeElement('input', {type: 'range', ...attributes, oninput: e => change({[key]: Number(e.target.value)})}), output = makeElement('span', {class: 'value'});
    return {element: makeElement('label', {}, label, input, output), set: state => {
        input.value = state[key];
        output.textContent = show(state[key]);
        input.setAttribute('aria-valuetext', show(state[key]));
    }};
}

function topControls({m, labels}, change) {
    const numbers = n => Array.from({length: n}, (_, i) => [i, String(i)]);
    return [selectControl('Token ', 'token', labels.map((l, i) => [i, `${i}: ${l}`]), change), selectControl('Layer ', 'layer', numbers(m.L), change),
        selectControl('Head ', 'head', numbers(m.H), change)];
}

function normControl({m}, change) {
    return [selectControl('Norm ', 'norm', normsOf(m, m.L - 1).map(n => [n.key, n.label]), change)];
}

// Previous, next, and one that goes on to the last token by itself.
function stepControls(view, change) {
    let timer = null;
    const stop = () => {
        clearInterval(timer);
        timer = null;
        play.textContent = 'Play';
    };
    const step = n => {
        const token = view.state.token + n;
        if (token < 0 || token >= view.m.T)
            stop();
        else
            change({token});
    };
    const button = (text, onclick) => makeElement('button', {type: 'button', onclick}, text);
    const play = button('Play', () => {
        if (timer !== null) {
            stop();
            return;
        }
        play.textContent = 'Pause';
        timer = setInterval(() => step(1), 800);
    });
    return [button('Previous token', () => step(-1)), button('Next token', () => step(1)), play].map(element => ({element, set: () => {}}));
}

function generationControls(view, change) {
    if (!view.m.predicts)
        return [];
    return [...(view.m.causal ? stepControls(view, change) : []),
        rangeControl('Temperature ', 'temperature', {min: 0, max: 2, step: 0.05}, x => String(x), change),
        rangeControl('Top-k ', 'k', {min: 0, max: Math.min(view.m.V, 100), step: 1}, x => x ? String(x) : 'all', change),
        rangeControl('Top-p ', 'p', {min: 0.01, max: 1, step: 0.01}, x => String(x), change)];
}

// ---- the page -----------------------------------------------------------------------------------------------------

function aboutText({m, folder, promptLength}) {
    return `${folder}: ${m.family}, ${counted(m.L, 'layer')} (L), ${counted(m.H, 'head')} (H), ${counted(m.C, 'channel')} (C), a vocabulary of ${m.V} (V); ${counted(m.T, 'token')} (T)`
        + (m.T > promptLength ? `, of which the model made the last ${m.T - promptLength}` : '') + '. Layers, heads and tokens are counted from 0.';
}

// What is about another family is taken out.
function chooseFamily(page, family) {
    for (const e of page.querySelectorAll('[data-family]'))
        if (!e.dataset.family.split(' ').includes(family))
            e.remove();
}

function addControls(parent, controls) {
    if (controls.length)
        parent.append(makeElement('form', {class: 'controls', onsubmit: e => e.preventDefault()}, ...controls.map(c => c.element)));
    return controls;
}

// Where a section stands in the page: the place that it draws in, after its controls.
function openSections(page, view, change) {
    const special = {norm: normControl, generation: generationControls}, controls = [];
    for (const s of SECTIONS) {
        const element = page.querySelector(`#${s.id}`), title = element.querySelector('h2').textContent;
        controls.push(...addControls(element, special[s.id]?.(view, change) ?? []));
        element.append(makeElement('div', {class: 'content'}));
        page.querySelector('#contents').append(makeElement('button', {type: 'button', onclick: () => {
            element.scrollIntoView();
            element.tabIndex = -1;
            element.focus();
        }}, title));
    }
    return controls;
}

function drawSections(page, view, changed) {
    for (const s of SECTIONS.filter(s => !changed || s.uses.some(u => changed.includes(u)))) {
        const content = page.querySelector(`#${s.id} .content`), pressed = content.contains(document.activeElement);
        content.replaceChildren(...s.draw(view));
        if (pressed)
            (content.querySelector('[aria-pressed=true]') ?? content.querySelector('[tabindex]'))?.focus();
    }
}

function showGpt(page) {
    try {
        const view = readGpt(embeddedFiles(document));
        let controls = [];
        const move = (state, all) => {
            const next = validGptState(state, view), changed = Object.keys(GPT_DEFAULTS).filter(k => next[k] !== view.state?.[k]);
            view.state = next;
            controls.forEach(c => c.set(next));
            drawSections(page, view, all ? null : changed);
        };
        view.change = changes => {
            move({...view.state, ...changes}, false);
            history.replaceState(null, '', '#' + stateToText(view.state, GPT_DEFAULTS));
        };
        chooseFamily(page, view.m.family);
        page.querySelector('#about').textContent = aboutText(view);
        controls = [...addControls(page.querySelector('#controls'), topControls(view, view.change)), ...openSections(page, view, view.change)];
        move(stateFromText(location.hash, GPT_DEFAULTS), true);
        addEventListener('hashchange', () => move(stateFromText(location.hash, GPT_DEFAULTS), false));
        matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => drawSections(page, view, null));
    } catch (error) {
        page.replaceChildren(makeElement('p', {class: 'problem', role: 'alert'}, `This page is damaged: ${error.message}.`));
    }
}
