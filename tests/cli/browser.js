// browser.js: what the tests in a browser share; browser.sh puts it before each of their scripts.
'use strict';
const results = [];
let checks = 0;

function check(what, got, expected) {
    checks++;
    if (JSON.stringify(got) !== JSON.stringify(expected))
        results.push(`FAILED ${what}: got ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`);
}

function near(what, got, expected, tolerance = 1e-12) {
    checks++;
    if (!(Math.abs(got - expected) <= tolerance * Math.max(1, Math.abs(expected))))
        results.push(`FAILED ${what}: got ${got}, expected ${expected}`);
}

// The numbers of two lists, one by one.
function allNear(what, got, expected, tolerance = 1e-12) {
    check(`${what}: how many`, got.length, expected.length);
    expected.forEach((x, i) => near(`${what} [${i}]`, got[i], x, tolerance));
}

// f throws an Error whose message holds the text.
function refuses(what, f, text) {
    let message = 'nothing';
    try {
        f();
    } catch (error) {
        message = error.message;
    }
    checks++;
    if (!message.includes(text))
        results.push(`FAILED ${what}: threw ${JSON.stringify(message)}, expected ${JSON.stringify(text)}`);
}

const $ = selector => document.querySelector(selector), all = selector => [...document.querySelectorAll(selector)];
const later = milliseconds => new Promise(done => setTimeout(done, milliseconds));

// Runs the tests, one after another, and leaves the result in the page.
async function runTests(...tests) {
    for (const test of tests) {
        try {
            await test();
        } catch (error) {
            results.push(`FAILED ${test.name}: ${error.stack}`);
        }
    }
    const report = document.createElement('pre');
    report.id = 'report';
    report.textContent = `${results.map(r => r + '\n').join('')}${checks} checks, ${results.length} failed`;
    document.body.append(report);
}
