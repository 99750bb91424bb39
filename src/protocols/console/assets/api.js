// Requests to the gateway, and failures in words.

import { announce, h } from './dom.js';

// The page may be below a prefix that a proxy adds.
const base = new URL('.', document.baseURI);

export const needsToken = document.documentElement.dataset.authentication !== 'off';

/** True if the gateway has clients, which sign in with a secret. */
export const hasClients = document.documentElement.dataset.clients !== 'none';

/** False if only the admin listener loads, unloads and rolls back. */
export const hasManagement = document.documentElement.dataset.management !== 'admin';

let token = null;
let refused = () => {};

export const hasToken = () => !needsToken || token !== null;

export function setToken(value) {
  token = value;
}

/** Calls this when a token is refused. */
export function onRefusedToken(callback) {
  refused = callback;
}

export const address = (path) => new URL(path, base).href;

export const modelPath = (model, rest = '') => `models/${encodeURIComponent(model)}${rest}`;

/** A request that failed, in words. */
export class Failure extends Error {
  constructor(message, details = {}) {
    super(message);
    Object.assign(this, { status: 0, code: '', errors: [], retryAfter: 0, requestId: '' }, details);
  }
}

const LOST = 'The gateway does not respond. It may be restarting, or the connection is lost.';

/** Sends a request with the token. Returns the response, whatever its status. */
export async function send(path, { method = 'GET', json, form, signal } = {}) {
  const headers = {};
  if (token !== null && !form) headers.authorization = `Bearer ${token}`;
  if (json !== undefined) headers['content-type'] = 'application/json';
  if (form) headers['content-type'] = 'application/x-www-form-urlencoded';
  const body = form ? new URLSearchParams(form).toString() : json;
  try {
    return await fetch(address(path), {
      method, headers, body, signal, cache: 'no-store', credentials: 'omit', redirect: 'error',
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Failure(LOST, { code: 'lost' });
  }
}

/** Reads the failure that a response reports, in the form of any of the gateway's protocols. */
export async function failureOf(response) {
  const body = await response.json().catch(() => ({}));
  const words = body.detail ?? body.error_description ?? body.error ?? `the response has the status ${response.status}`;
  const details = {
    status: response.status,
    code: body.code ?? '',
    errors: body.errors ?? [],
    retryAfter: Number(response.headers.get('retry-after')) || 0,
    requestId: response.headers.get('x-request-id') ?? '',
  };
  // The page counts down itself, so the sentence need not say it too.
  const rest = details.retryAfter > 0 ? words.replace(/[;:,] try again in \d+ s/, '') : words;
  return new Failure(`${rest[0].toUpperCase()}${rest.slice(1)}${/[.?!]$/.test(rest) ? '' : '.'}`, details);
}

/** Sends a request. Returns the body, or throws the failure. A trial tells nobody that its token is refused. */
export async function call(path, options = {}) {
  const used = token;
  const response = await send(path, options);
  if (!response.ok) {
    const failure = await failureOf(response);
    // Another request may have been answered with 401 before, and the person may have signed in since.
    if (failure.status === 401 && !options.form && !options.isTrial && used === token) refused(failure);
    throw failure;
  }
  try {
    const text = await response.text();
    return { body: text ? JSON.parse(text) : null, headers: response.headers, status: response.status };
  } catch {
    throw new Failure(LOST, { code: 'lost' });
  }
}

/**
 * Shows a failure in an element. Counts down until a refused request may be sent again. `nameOf` gives the name of the
 * field at a pointer, if it has one.
 */
export function showFailure(place, failure, again, nameOf = () => null) {
  const listed = failure.errors.map((error) => h('li', {},
    nameOf(error.pointer ?? '') ? h('strong', {}, nameOf(error.pointer)) : error.pointer ? h('code', {}, error.pointer) : '', ` ${error.message}`));
  const wait = h('span', { 'aria-hidden': 'true' });
  const button = again && h('button', { type: 'button', onclick: () => { place.replaceChildren(); again(); } }, 'Try again');
  const notice = h('div', { className: 'notice bad' },
    h('p', {}, h('strong', {}, failure.message), ' ', wait),
    listed.length > 0 && h('ul', {}, listed),
    failure.requestId && h('p', { className: 'hint' }, 'Request ', h('code', {}, failure.requestId)),
    button && h('p', {}, button));
  place.replaceChildren(notice);
  const seconds = failure.retryAfter;
  announce(seconds > 0 ? `${failure.message} Try again in ${seconds} seconds.` : failure.message);
  if (seconds > 0) countDown(notice, wait, button, seconds);
}

function countDown(notice, wait, button, seconds) {
  const due = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((due - Date.now()) / 1000);
    if (!notice.isConnected) return;
    wait.textContent = left > 0 ? `Try again in ${left} s.` : 'You can try again now.';
    if (button) button.disabled = left > 0;
    if (left > 0) setTimeout(tick, 250);
  };
  tick();
}
