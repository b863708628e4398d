// training.js: what runs did, from their log.jsonl (docs/formats.md), config.yaml, history.jsonl and samples.txt.

// ---- reading ----------------------------------------------------------------------------------------------------

// Of the objects of a log.jsonl: {steps: {step: [], tokens: [], seconds: [], loss: [], ...}, sets: {name: [[step, loss],
// ...]}, documents: the last whole-document score or null}. seconds are those of the training steps, tokens / tok_s
// summed. NaN and infinity are null in the log.
function readLog(objects) {
    const keys = ['step', 'tokens', 'loss', 'lr', 'grad_norm', 'tok_s', 'mfu'];
    const steps = Object.fromEntries([...keys, 'seconds', 'skipped'].map(k => [k, []])), sets = {};
    const add = (name, step, loss) => (sets[name] ||= []).push([step, loss ?? NaN]);
    let seconds = 0, tokens = 0, documents = null;
    for (const o of objects) {
        if ('tokens' in o && 'loss' in o) {
            seconds += o.tok_s > 0 ? (o.tokens - tokens) / o.tok_s : 0;
            tokens = o.tokens;
            keys.forEach(k => steps[k].push(o[k] ?? NaN));
            steps.seconds.push(seconds);
            steps.skipped.push(o.skipped === true);
        } else if ('val_losses' in o) {
            Object.entries(o.val_losses).forEach(([name, loss]) => add(name, o.step, loss));
        } else if ('val_loss' in o) {
            add('', o.step, o.val_loss);
        } else if ('document_loss' in o) {
            documents = o;
        }
    }
    return {steps, sets, documents};
}

// Rows [name, value of each run] of the options that are not the same in all; where a run writes to does not count.
function differingOptions(configs) {
    const names = [...new Set(configs.flatMap(c => c.map(o => o[0])))], maps = configs.map(c => new Map(c));
    return names.filter(n => !['out', 'run', 'recorded folder'].includes(n))
        .map(n => [n, ...maps.map(m => m.has(n) ? m.get(n) : '-')])
        .filter(row => row.slice(2).some(v => v !== row[1]));
}

// The samples of a samples.txt: [{step, text}].
function readSamples(text) {
    const parts = text.split(/^--- step (\d+) ---\n/m), samples = [];
    for (let i = 1; i + 1 < parts.length; i += 2)
        samples.push({step: Number(parts[i]), text: parts[i + 1].replace(/\n\n$/, '')});
    return samples;
}

// The runs that the page carries, in the order in which they were named.
function runsOf(files) {
    const runs = new Map();
    for (const f of files) {
        if (!runs.has(f.folder))
            runs.set(f.folder, {name: f.folder, files: {}});
        runs.get(f.folder).files[f.file] = textOfBytes(f.bytes);
    }
    return [...runs.values()].map(run => {
        const {objects, damaged} = parseJsonLines(run.files['log.jsonl'] || '');
        return {name: run.name, damaged, log: readLog(objects), config: readConfig(run.files['config.yaml'] || ''),
            samples: readSamples(run.files['samples.txt'] || '')};
    });
}

// ---- series -----------------------------------------------------------------------------------------------------

const AXES = {step: 'step', tokens: 'tokens', seconds: 'seconds of training'};

// The place of each step on the axis; an evaluation has that of its step.
function axisOf(log, axis) {
    const places = new Map(log.steps.step.map((s, i) => [s, log.steps[axis][i]]));
    return step => places.has(step) ? places.get(step) : axis === 'step' ? step : NaN;
}

function stepPoints(log, key, axis) {
    return log.steps[axis].map((x, i) => [x, log.steps[key][i]]);
}

// The series of one quantity over all shown runs. Smoothed ones have the numbers themselves as a faint line behind.
function quantitySeries(runs, key, state) {
    return runs.flatMap(run => {
        const raw = stepPoints(run.log, key, state.x), colour = run.colour;
        if (!raw.length || raw.every(p => !Number.isFinite(p[1])))
            return [];
        if (!(state.smooth > 0))
            return [{name: run.name, colour, points: raw}];
        const even = smooth(raw.map(p => p[1]), state.smooth);
        return [{name: run.name, colour, faint: true, points: raw},
            {name: run.name, colour, points: raw.map((p, i) => [p[0], even[i]]), raw}];
    });
}

// Evaluations are dashed, each set in its own way.
function validationSeries(runs, state) {
    const dashes = ['7 3', '2 3', '9 3 2 3', '1 4'], names = [...new Set(runs.flatMap(r => Object.keys(r.log.sets)))];
    return runs.flatMap(run => Object.entries(run.log.sets).map(([name, points]) => ({
        name: `${run.name} validation${name && ' ' + name}`, colour: run.colour, dots: true,
        dash: dashes[names.indexOf(name) % dashes.length],
        points: points.map(([step, loss]) => [axisOf(run.log, state.x)(step), loss]).filter(p => Number.isFinite(p[0])),
    })));
}

// Where the entropy of the validation documents is known: no model's mean loss over whole documents is lower.
function floorSeries(runs, state) {
    return runs.filter(r => r.log.documents?.document_tokens > 0 && r.log.steps.step.length).map(run => {
        const d = run.log.documents, floor = d.floor * d.characters / d.document_tokens, xs = run.log.steps[state.x];
        return {name: `${run.name} entropy of the documents`, colour: 'var(--soft)', dash: '1 3', points: [[xs[0], floor], [xs[xs.length - 1], floor]]};
    });
}

function bestOf(points) {
    return points.reduce((best, p) => !(best[1] <= p[1]) ? p : best, [NaN, NaN]);
}

// What stands in the table at the top, a row a run.
function summaryRow(run) {
    const s = run.log.steps, n = s.step.length, [set] = Object.entries(run.log.sets), best = bestOf(set ? set[1] : []);
    const d = run.log.documents, above = d && 100 * (d.document_loss / d.floor - 1);
    return [run.name, n ? s.step[n - 1] : '-', n ? s.tokens[n - 1] : '-', n ? formatNumber(s.seconds[n - 1], 4) : '-',
        n ? formatNumber(s.loss[n - 1], 5) : '-', set ? `${formatNumber(best[1], 5)} at step ${best[0]}` : '-',
        d ? `${formatNumber(d.document_loss, 5)}, floor ${formatNumber(d.floor, 5)}: ${formatNumber(above, 3)}% above` : '-'];
}

// ---- the page ---------------------------------------------------------------------------------------------------

const TRAINING_DEFAULTS = {x: 'step', smooth: 0, log: false, hide: []};

function trainingControls(state, runs, change) {
    const radio = ([value, label]) => makeElement('label', {}, makeElement('input', {type: 'radio', name: 'x', value,
        checked: state.x === value, onchange: () => change({x: value})}), label);
    const shown = run => makeElement('label', {}, makeElement('input', {type: 'checkbox', checked: !state.hide.includes(run.name),
        onchange: e => change({hide: e.target.checked ? state.hide.filter(n => n !== run.name) : [...state.hide, run.name]})}),
        makeElement('span', {class: 'swatch', style: `border-color:${run.colour}`}), run.name);
    return makeElement('form', {class: 'controls', onsubmit: e => e.preventDefault()},
        makeElement('fieldset', {}, makeElement('legend', {}, 'By'), ...Object.entries(AXES).map(radio)),
        makeElement('label', {}, 'Smoothing ', makeElement('input', {type: 'range', min: 0, max: 0.99, step: 0.01, value: state.smooth,
            'aria-valuetext': state.smooth, onchange: e => change({smooth: Number(e.target.value)})}), String(state.smooth)),
        makeElement('label', {}, makeElement('input', {type: 'checkbox', checked: state.log, onchange: e => change({log: e.target.checked})}),
            'Loss on a logarithmic scale'),
        ...(runs.length > 1 ? [makeElement('fieldset', {}, makeElement('legend', {}, 'Runs'), ...runs.map(shown))] : []));
}

function trainingCharts(runs, state) {
    const chart = (title, unit, series, logarithmic = false) => series.length ? [chartElement({title, x: AXES[state.x], unit, series, logarithmic})] : [];
    return makeElement('div', {class: 'charts'},
        ...chart('Loss', 'nats a token', [...quantitySeries(runs, 'loss', state), ...validationSeries(runs, state), ...floorSeries(runs, state)], state.log),
        ...chart('Learning rate', '', quantitySeries(runs, 'lr', {...state, smooth: 0})),
        ...chart('Gradient norm', '', quantitySeries(runs, 'grad_norm', state)),
        ...chart('Speed', 'tokens a second', quantitySeries(runs, 'tok_s', state)),
        ...chart('Model FLOP utilization', 'share of the peak', quantitySeries(runs, 'mfu', state)));
}

function samplesElement(run) {
    const text = makeElement('pre', {'aria-live': 'polite'}), label = makeElement('output', {});
    const slider = makeElement('input', {type: 'range', min: 0, max: run.samples.length - 1, value: run.samples.length - 1,
        'aria-label': `Sample of ${run.name}`});
    const show = () => {
        const sample = run.samples[slider.value];
        label.textContent = `${run.name}, step ${sample.step}`;
        slider.setAttribute('aria-valuetext', `step ${sample.step}`);
        text.textContent = sample.text;
    };
    slider.addEventListener('input', show);
    show();
    return makeElement('section', {}, label, slider, text);
}

function trainingProblems(runs) {
    return runs.flatMap(run => [
        ...(run.log.steps.step.length ? [] : [`${run.name}: its log has no training step yet.`]),
        ...(run.damaged ? [`${run.name}: ${run.damaged} damaged line${run.damaged > 1 ? 's' : ''} of its log.jsonl left out.`] : []),
    ]).map(text => makeElement('p', {class: 'problem', role: 'alert'}, text));
}

function drawTraining(page, runs, state, change) {
    const shown = runs.filter(r => !state.hide.includes(r.name)), differing = runs.length > 1 ? differingOptions(runs.map(r => r.config)) : [];
    const samples = shown.filter(r => r.samples.length);
    page.replaceChildren(...trainingProblems(runs),
        makeElement('div', {class: 'scroll'}, tableElement('Runs', ['run', 'steps', 'tokens', 'seconds', 'last loss', 'best validation loss',
            'whole documents, nats a character'], runs.map(summaryRow))),
        trainingControls(state, runs, change), trainingCharts(shown, state),
        ...(differing.length ? [makeElement('div', {class: 'scroll'}, tableElement('Options that differ', ['option', ...runs.map(r => r.name)], differing))] : []),
        ...(samples.length ? [makeElement('h2', {}, 'Samples'), ...samples.map(samplesElement)] : []));
}

function showTraining(page) {
    try {
        const runs = runsOf(embeddedFiles(document));
        if (!runs.length)
            throw new Error('it carries no run');
        runs.forEach((run, i) => run.colour = `var(--c${i % 8})`);
        let state = stateFromText(location.hash, TRAINING_DEFAULTS);
        const draw = () => {
            if (!(state.x in AXES))
                state.x = TRAINING_DEFAULTS.x;
            state.smooth = Math.min(0.99, Math.max(0, state.smooth));
            drawTraining(page, runs, state, change);
        };
        const change = changes => {
            const label = document.activeElement?.closest('label')?.textContent;
            state = {...state, ...changes};
            history.replaceState(null, '', '#' + stateToText(state, TRAINING_DEFAULTS));
            draw();
            [...page.querySelectorAll('label')].find(l => l.textContent === label)?.querySelector('input').focus();
        };
        addEventListener('hashchange', () => {
            state = stateFromText(location.hash, TRAINING_DEFAULTS);
            draw();
        });
        draw();
    } catch (error) {
        page.replaceChildren(makeElement('p', {class: 'problem', role: 'alert'}, `This page is damaged: ${error.message}.`));
    }
}
