// Signing in and out. The token is in the memory of this page only.

import { Failure, call, hasClients, needsToken, onRefusedToken, setToken, showFailure } from './api.js';
import { byId } from './dom.js';

const dialog = byId('sign-in');
const form = byId('sign-in-form');
const reason = byId('sign-in-reason');
const notice = byId('sign-in-notice');
const WELCOME = reason.textContent;

let expiry = 0;
let begin = () => {};
let end = () => {};
let scopes = null;

/** Returns true if the token may permit an action with a model. The gateway decides; this only hides what it refuses. */
export function may(action, model) {
  return scopes === null || scopes.includes(action) || scopes.includes(`${action}:${model}`);
}

/** Starts the session. `signedIn` is called with each new token, `signedOut` when there is none any more. */
export function start({ signedIn, signedOut }) {
  [begin, end] = [signedIn, signedOut];
  if (!needsToken) {
    begin();
    return;
  }
  onRefusedToken(() => expire('Your token is not accepted any more: it has expired, or its key was removed. Sign in again; what you typed is kept.'));
  form.addEventListener('submit', signIn);
  byId('sign-in-ways').hidden = !hasClients;
  preferredWay();
  form.elements.way.forEach((choice) => choice.addEventListener('change', chooseWay));
  // There is nothing to do without a token.
  dialog.addEventListener('cancel', (event) => event.preventDefault());
  byId('sign-out').addEventListener('click', signOut);
  ask(WELCOME);
}

/** Asks for a new token, and leaves the page as it is. */
export function expire(words) {
  clearTimeout(expiry);
  setToken(null);
  end(false);
  ask(words);
}

function signOut() {
  clearTimeout(expiry);
  setToken(null);
  byId('who').hidden = true;
  form.reset();
  preferredWay();
  end(true);
  ask('You have signed out.');
}

function ask(words) {
  reason.textContent = words;
  notice.replaceChildren();
  if (!dialog.open) dialog.showModal();
  const isClient = form.elements.way.value === 'client';
  const field = isClient ? (form.elements.client_id.value ? form.elements.client_secret : form.elements.client_id) : form.elements.token;
  field.focus();
}

/** Chooses the client, or the token of a gateway that has no client. */
function preferredWay() {
  form.elements.way.value = hasClients ? 'client' : 'token';
  chooseWay();
}

function chooseWay() {
  const isClient = form.elements.way.value === 'client';
  byId('by-client').hidden = !isClient;
  byId('by-token').hidden = isClient;
}

async function signIn(event) {
  event.preventDefault();
  const button = byId('sign-in-button');
  button.disabled = true;
  notice.replaceChildren();
  try {
    await (form.elements.way.value === 'client' ? byClient() : byToken());
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    showFailure(notice, failure);
  } finally {
    button.disabled = false;
  }
}

async function byClient() {
  const id = form.elements.client_id.value.trim();
  const secret = form.elements.client_secret.value;
  if (!id || !secret) throw new Failure('Type the client id and its secret.');
  const { body } = await call('token', {
    method: 'POST', form: { grant_type: 'client_credentials', client_id: id, client_secret: secret },
  });
  use(body.access_token, { name: id, granted: body.scope, seconds: body.expires_in });
}

async function byToken() {
  const text = form.elements.token.value.trim().replace(/^bearer\s+/i, '');
  if (!text) throw new Failure('Paste a token.');
  if (!/^[\x21-\x7e]+$/.test(text)) throw new Failure('The token has characters that no token has, such as spaces.');
  const claims = claimsOf(text);
  setToken(text);
  try {
    // Tells at once whether it is valid.
    await call('models', { isTrial: true });
  } catch (failure) {
    setToken(null);
    if (failure.status === 401) throw new Failure(`This gateway does not accept the token. ${reasonOf(claims)} Paste the whole of another one.`);
    if (failure.status === 403) throw new Failure('The token is valid but lacks the scope read, which the console needs.');
    throw failure;
  }
  const seconds = claims.exp ? claims.exp - Date.now() / 1000 : 0;
  use(text, { name: claims.sub ?? 'token', granted: claims.scope, seconds });
}

/** Returns the likely reason why a token is refused that was never accepted here. */
function reasonOf(claims) {
  if (Object.keys(claims).length === 0) return 'It is not a whole token: it may be cut off, or have other characters in it.';
  if (claims.exp && claims.exp * 1000 < Date.now()) return 'It has expired.';
  return 'It is mistyped, or from another gateway, or from before this one was started again.';
}

/** Reads the claims of a JWT, to show them; the gateway verifies it. */
function claimsOf(text) {
  try {
    const payload = text.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    return Object(JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(payload), (character) => character.charCodeAt(0)))));
  } catch {
    return {};
  }
}

function use(token, { name, granted, seconds }) {
  setToken(token);
  scopes = typeof granted === 'string' ? granted.split(' ') : null;
  form.elements.client_secret.value = '';
  form.elements.token.value = '';
  byId('who-name').textContent = name;
  byId('who').hidden = false;
  dialog.close();
  clearTimeout(expiry);
  // Longer delays overflow. The gateway refuses the token anyway.
  if (seconds > 0 && seconds < 2e6) {
    expiry = setTimeout(() => expire('Your token has expired. Sign in again; what you typed is kept.'), seconds * 1000);
  }
  begin();
}
