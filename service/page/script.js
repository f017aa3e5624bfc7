// Shows times in the local time zone, and refreshes the page every few seconds while it is visible.
'use strict';
function localTimes() {
  for (const t of document.querySelectorAll('time')) t.textContent = new Date(t.dateTime).toLocaleString();
}
async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, {headers: {Accept: 'text/html'}});
    if (!answer.ok) throw new Error(answer.status);
    const news = new DOMParser().parseFromString(await answer.text(), 'text/html');
    document.querySelector('main').replaceWith(news.querySelector('main'));
    localTimes();
  } catch (e) {
    for (const state of document.querySelectorAll('#parts dd')) {
      state.textContent = 'cannot be reached';
      state.className = 'bad';
    }
  }
}
localTimes();
setInterval(refresh, 5000);
