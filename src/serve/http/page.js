// Keeps states, figures and pictures up to date. Without it the page shows them as they were when it was loaded.
"use strict";
const articles = [...document.querySelectorAll("article")];

async function states() {
    try {
        const answer = await (await fetch("/health")).json();
        for (const article of articles) {
            const it = answer.cameras[article.id];
            const state = it ? it.state : "removed";
            article.dataset.state = state;
            article.querySelector(".state").textContent = state;
            if (!it) continue;
            article.querySelector(".figures").textContent =
                `${it.size ?? "no picture yet"}, ${it.frames_per_s} frames/s, ${it.delay_ms} ms delay, ` +
                `${it.faces_enhanced} faces enhanced` + (it.enhanced ? "" : " (paused: the machine is too slow)");
            article.querySelector(".reason").textContent = it.reason ?? "";
        }
    } catch {
        for (const article of articles) {
            article.dataset.state = "lost";
            article.querySelector(".state").textContent = "no answer";
        }
    }
    setTimeout(states, 1000);
}

// One picture after the other: browsers open few connections to one server.
async function pictures() {
    for (const article of articles) {
        if (article.dataset.state !== "live" || document.hidden) continue;
        await new Promise((done) => {
            const next = new Image();
            next.onload = () => { article.querySelector("img").src = next.src; done(); };
            next.onerror = done;
            next.src = `/camera/${article.id}.jpg?t=${Date.now()}`;
        });
    }
    setTimeout(pictures, 1000);
}

if (articles.length > 0) {
    states();
    pictures();
}
