/* quickstart.js -- shows what the backend answers, and the real address. */

const reply = document.getElementById('reply');
const lines = document.getElementById('lines');

lines.textContent = lines.textContent.replaceAll(
    'http://127.0.0.1:8080', location.origin);

async function ask() {
    try {
        const answer = await fetch('backend/hello', { cache: 'no-store' });
        reply.textContent = `${answer.status} ${answer.statusText}\n\n`
            + await answer.text();
    } catch (error) {
        reply.textContent = `no answer: ${error.message}`;
    }
}

document.getElementById('again').addEventListener('click', ask);
ask();
