// The deployment history of a model: events, reasons and differences.

import { h, milliseconds, time } from './dom.js';

const EVENTS = {
  deployed: ['Deployed', 'good'],
  restored: ['Restored', 'good'],
  refused: ['Refused', 'bad'],
  rolled_back: ['Rolled back', 'warn'],
  unloaded: ['Unloaded', 'warn'],
  removed: ['Removed', 'warn'],
  kept: ['Kept', ''],
};

const FIRST_ENTRIES = 20;

const short = (digest) => h('code', { title: digest }, digest.slice(0, 12));

function originOf(by) {
  const words = { repository: 'a file in the repository', start: 'the start', automatic: 'automatically' };
  return words[by] ?? by.replace(/^caller:/, '');
}

function changeOf({ digest, replaces }) {
  if (digest && replaces && digest !== replaces) return [short(replaces), ' → ', short(digest)];
  return digest ? [short(digest)] : [];
}

/** Returns the differences that a sentence lists with semicolons, one each. */
function detailOf(detail) {
  const parts = detail.split('; ');
  return parts.length > 1 ? h('ul', { className: 'differences' }, parts.map((part) => h('li', {}, part))) : h('p', {}, detail);
}

function timingsOf(timings) {
  if (!timings) return '';
  const parts = { copy: 'copied', proof: 'proven', load: 'loaded' };
  return Object.entries(parts).map(([part, words]) => `${words} in ${milliseconds(timings[`${part}_ms`])}`).join(', ');
}

function rowOf(entry) {
  const [words, kind] = EVENTS[entry.event] ?? [entry.event, ''];
  return h('tr', {},
    h('td', { className: 'when' }, time(entry.time)),
    h('td', {}, h('span', { className: `chip ${kind}` }, words)),
    h('td', {}, entry.version),
    h('td', {}, changeOf(entry)),
    h('td', {}, originOf(entry.by)),
    h('td', { className: 'reason' },
      entry.reason && h('p', {}, h('code', {}, entry.reason)),
      entry.detail && detailOf(entry.detail),
      entry.timings && h('p', { className: 'hint' }, timingsOf(entry.timings))));
}

/** Shows the entries, the latest first. */
export function showHistory(place, entries) {
  if (entries.length === 0) {
    place.replaceChildren(h('p', { className: 'hint' }, 'Nothing has happened to this model yet.'));
    return;
  }
  const body = h('tbody', {}, entries.slice(0, FIRST_ENTRIES).map(rowOf));
  const rest = entries.slice(FIRST_ENTRIES);
  const more = rest.length > 0 && h('button', { type: 'button', onclick: () => { body.append(...rest.map(rowOf)); more.remove(); } }, `Show ${rest.length} more`);
  const head = ['Time', 'Event', 'Version', 'Content', 'By', 'Reason and differences'];
  place.replaceChildren(
    h('div', { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Deployments' },
      h('table', { className: 'history' },
        h('thead', {}, h('tr', {}, head.map((name) => h('th', { scope: 'col' }, name)))), body)),
    more || '');
}
