// Load, unload and roll back, each with a question first.

import { Failure, call, modelPath, showFailure } from './api.js';
import { announce, byId, h } from './dom.js';

const dialog = byId('question');

/** Asks a question. Returns true if the answer is yes. */
function ask({ heading, words, yes }) {
  byId('question-heading').textContent = heading;
  byId('question-words').textContent = words;
  byId('question-yes').textContent = yes;
  dialog.showModal();
  byId('question-no').focus();
  return new Promise((resolve) => {
    const end = (answer) => {
      dialog.close();
      byId('question-form').onsubmit = byId('question-no').onclick = dialog.oncancel = null;
      resolve(answer);
    };
    byId('question-form').onsubmit = (event) => { event.preventDefault(); end(true); };
    byId('question-no').onclick = () => end(false);
    dialog.oncancel = () => end(false);
  });
}

const ACTIONS = [
  {
    name: 'Roll back',
    path: (model) => modelPath(model, '/rollback'),
    words: (model) => `The previous deployment of ${model} serves again at once. The present file does not return by itself: it takes a newer file, or Load.`,
    done: ({ body }) => `Version ${body.version} serves again (${body.digest}).`,
  },
  {
    name: 'Load',
    path: (model) => `v2/repository/models/${encodeURIComponent(model)}/load`,
    words: (model) => `The files of ${model} in the repository are proven and loaded, even if they were refused, rolled back or unloaded before.`,
    done: () => 'The model is loaded.',
  },
  {
    name: 'Unload',
    path: (model) => `v2/repository/models/${encodeURIComponent(model)}/unload`,
    words: (model) => `${model} answers no more requests until somebody loads it again. Callers get status 503.`,
    done: () => 'The model is unloaded.',
  },
];

/** Creates the buttons for a model. `changed` is called after each action. */
export function actionButtons(model, notice, changed) {
  const buttons = ACTIONS.map((action) => h('button', { type: 'button', onclick: () => run(action) }, action.name));
  return h('div', { className: 'buttons', role: 'group', 'aria-label': `Manage ${model}` }, buttons);

  async function run(action) {
    const heading = `${action.name} ${model}?`;
    if (!await ask({ heading, words: action.words(model), yes: action.name })) return;
    buttons.forEach((button) => { button.disabled = true; });
    notice.replaceChildren(h('p', { className: 'notice' }, `${action.name}: in progress …`));
    try {
      const words = action.done(await call(action.path(model), { method: 'POST' }));
      notice.replaceChildren(h('p', { className: 'notice good' }, words));
      announce(words);
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      showFailure(notice, failure);
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
      changed();
    }
  }
}
