// The page as a whole: which model is shown, and when it is read again.

import { Failure, call, hasToken, showFailure } from './api.js';
import { Window, gatewayCharts } from './charts.js';
import { announce, byId, h } from './dom.js';
import { Live } from './live.js';
import { ModelPage, showModels } from './models.js';
import * as session from './session.js';

/** Changes that come together are shown together. */
const PAUSE_MS = 200;
const WITHOUT_STREAM_MS = 1500;

const window_ = new Window();
const gateway = gatewayCharts();
let page = null;
let models = [];
let timer = 0;
let isBusy = false;
let isDue = false;

byId('gateway-charts').append(...gateway.figures);
byId('refresh').addEventListener('click', () => refresh());
addEventListener('hashchange', () => { select(); byId('main').focus(); });

const live = new Live({
  open: () => refreshSoon(),
  sample(sample) {
    window_.add(sample);
    draw();
  },
  changed(names) {
    announce(`${names.join(', ')} changed`);
    refreshSoon();
  },
  expired: () => session.expire('Your token has expired. Sign in again; what you typed is kept.'),
  refusedToken: () => session.expire('Your token is not accepted any more. Sign in again; what you typed is kept.'),
  state(name, words) {
    byId('live').dataset.state = name;
    if (byId('live-words').textContent !== words) byId('live-words').textContent = words;
  },
});

session.start({
  signedIn() {
    window_.clear();
    // The page of the model stays, with what was typed.
    page?.showActions();
    // The stream tells when to read. It may be refused.
    timer = setTimeout(refresh, WITHOUT_STREAM_MS);
    live.start();
  },
  signedOut(isForGood) {
    live.stop();
    if (!isForGood) return;
    page = null;
    models = [];
    byId('models').replaceChildren();
    byId('model').replaceChildren();
    byId('main-notice').replaceChildren();
    byId('gateway').hidden = true;
  },
});

/** Returns the model that the address names. */
function wanted() {
  const name = location.hash.match(/^#\/models\/(.+)$/)?.[1];
  try {
    return name === undefined ? null : decodeURIComponent(name);
  } catch {
    return null;
  }
}

function refreshSoon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, PAUSE_MS);
}

/** Reads the models again. One reading at a time; another follows if something changed meanwhile. */
async function refresh() {
  clearTimeout(timer);
  if (!hasToken()) return;
  if (isBusy) {
    isDue = true;
    return;
  }
  isBusy = true;
  const notice = byId('models-notice');
  try {
    const { body } = await call('models');
    models = body.models;
    notice.replaceChildren(...(models.length === 0 ? [h('p', { className: 'notice' }, 'The repository has no model that you may read.')] : []));
    await select();
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    if (failure.status !== 401) showFailure(notice, failure, refresh);
  } finally {
    isBusy = false;
    if (isDue) {
      isDue = false;
      refreshSoon();
    }
  }
}

/** Shows the model that the address names, else the first. */
async function select() {
  const place = byId('main-notice');
  const name = wanted() ?? page?.name ?? models.find((model) => model.versions.some((version) => version.state === 'READY'))?.name ?? models[0]?.name;
  showModels(byId('models'), models, name);
  if (name === undefined) {
    if (page) vanish(place, page.name);
    return;
  }
  if (!models.some((model) => model.name === name)) {
    vanish(place, name);
    return;
  }
  if (page?.name !== name) page = new ModelPage(byId('model'), name, { changed: refreshSoon });
  document.title = `${name} · onnx-gateway`;
  draw();
  try {
    await page.refresh();
    place.replaceChildren();
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    if (failure.status === 404) vanish(place, name);
    else if (failure.status !== 401) showFailure(place, failure, refresh);
  }
}

function vanish(place, name) {
  const words = `The model ${name} is not in the repository, or you may not read it any more.`;
  place.replaceChildren(h('p', { className: 'notice bad' }, words));
  announce(words);
  if (page?.name !== name) {
    page = null;
    byId('model').replaceChildren();
  }
}

function draw() {
  const ofGateway = window_.ofGateway();
  // Callers that may read some models only are told nothing of all requests, and without metrics nobody is.
  const isShown = ofGateway.some((second) => second?.responses);
  byId('gateway').hidden = !isShown;
  if (isShown) gateway.show(ofGateway);
  if (page) page.showActivity(window_.ofModel(page.name));
}
