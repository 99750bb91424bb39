// The response to a prediction: class, probabilities as bars, outputs, and the same request for curl.

import { address, needsToken } from './api.js';
import { copyButton, h, milliseconds, number, percent, pretty } from './dom.js';

const MAX_BARS = 12;
const MAX_ELEMENTS = 64;

/** Returns the curl line of a request. The token is a variable, so that it is in no history. */
export function curlLine(path, body) {
  const quoted = (text) => `'${text.replace(/'/g, `'\\''`)}'`;
  const token = needsToken ? ' -H "Authorization: Bearer $TOKEN"' : '';
  return `curl -s -w '\\n' ${quoted(address(path))}${token} -H 'Content-Type: application/json' \\\n  -d ${quoted(body)}`;
}

/** Shows a response in an element. */
export function showResult(place, { path, body, response, headers, took }) {
  const facts = [
    ['Time', milliseconds(took)],
    ['Version', headers.get('x-model-version') ?? response.version],
    ['Digest', headers.get('x-model-digest')],
    ['Request', headers.get('x-request-id')],
  ].filter(([, value]) => value);
  place.replaceChildren(
    h('h3', {}, 'Answer'),
    answerOf(response),
    h('dl', { className: 'facts' }, facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)))),
    curl(path, body),
    h('details', {}, h('summary', {}, 'Response as JSON'), h('pre', { tabIndex: 0 }, shortened(pretty(response)))));
}

/** Returns the class of a response in words, for screen readers. */
export function wordsOf(response) {
  return response.prediction === undefined ? 'The answer is there.' : `The prediction is ${plain(response.prediction)}.`;
}

export function curl(path, body) {
  const line = curlLine(path, body);
  const shown = h('pre', { className: 'curl', tabIndex: 0, 'aria-label': 'The same request for curl' }, line);
  return h('details', {}, h('summary', {}, 'The same with curl'), shown, copyButton(() => line, shown));
}

const shortened = (text) => (text.length > 20000 ? `${text.slice(0, 20000)} …` : text);

function plain(value) {
  if (typeof value === 'number') return number(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function answerOf(response) {
  if (response.prediction !== undefined) return h('div', {}, rowAnswer(response));
  const rows = response.predictions;
  if (Array.isArray(rows)) return h('ol', { className: 'rows' }, rows.slice(0, 20).map((row) => h('li', {}, rowAnswer(row))));
  return h('div', {}, Object.entries(response.outputs ?? {}).map(([name, tensor]) => tensorAnswer(name, tensor)));
}

function rowAnswer(row) {
  if (row === null || typeof row !== 'object') return h('p', { className: 'prediction-value' }, plain(row));
  const { prediction, probabilities, ...others } = row;
  delete others.model;
  delete others.version;
  const value = prediction === null || typeof prediction !== 'object' ? plain(prediction) : null;
  return [
    value !== null && h('p', { className: 'prediction-value' }, value),
    value === null && h('pre', { tabIndex: 0 }, pretty(prediction)),
    probabilities && bars(probabilities, prediction),
    Object.entries(others).map(([name, other]) => h('p', {}, h('code', {}, name), ' ', plain(other))),
  ];
}

function bars(probabilities, prediction) {
  const entries = Array.isArray(probabilities) ? probabilities.map((value, index) => [String(index), value]) : Object.entries(probabilities);
  const numbers = entries.filter(([, value]) => typeof value === 'number').sort((left, right) => right[1] - left[1]);
  const shown = numbers.slice(0, MAX_BARS).map(([name, value]) => {
    const bar = h('span', { className: 'bar-fill' });
    bar.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
    return h('tr', { className: name === String(prediction) ? 'best' : '' },
      h('th', { scope: 'row' }, name),
      h('td', { className: 'bar-cell' }, h('span', { className: 'bar-line', 'aria-hidden': 'true' }, bar)),
      h('td', { className: 'bar-number' }, percent(value)));
  });
  const more = numbers.length - shown.length;
  return [
    h('table', { className: 'bars' }, h('caption', { className: 'unseen' }, 'Probabilities'), h('tbody', {}, shown)),
    more > 0 && h('p', { className: 'hint' }, `and ${more} more classes`),
  ];
}

function tensorAnswer(name, tensor) {
  const data = Array.isArray(tensor?.data) ? tensor.data : null;
  const shape = tensor?.shape ? `[${tensor.shape.join(', ')}]` : '';
  const more = data && data.length > MAX_ELEMENTS ? ` … and ${data.length - MAX_ELEMENTS} more` : '';
  const text = data ? data.slice(0, MAX_ELEMENTS).map(plain).join(', ') + more : shortened(pretty(tensor));
  return h('div', { className: 'tensor' },
    h('p', {}, h('strong', {}, name), ' ', h('span', { className: 'hint' }, `${tensor?.datatype ?? ''} ${shape}`)),
    h('pre', { tabIndex: 0 }, text));
}
