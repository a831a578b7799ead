// Keeps states, figures and pictures up to date. Without it the page shows them as they were when it was loaded.
"use strict";
const cameras = [...document.querySelectorAll("[data-state]")];

function show(camera, state, figures, reason) {
    camera.dataset.state = state;
    camera.querySelector(".state").textContent = state;
    camera.querySelector(".figures").textContent = figures;
    camera.querySelector(".reason").textContent = reason ?? "";
}

async function states() {
    try {
        const answer = await (await fetch("/status")).json();
        for (const camera of cameras) {
            const it = answer.cameras[camera.id];
            if (it) show(camera, it.state, it.text, it.reason);
            else show(camera, "removed", "", "");
        }
    } catch {
        for (const camera of cameras) show(camera, "no answer", "", "the server does not answer");
    }
    setTimeout(states, 1000);
}

// One picture after the other: browsers open few connections to one server.
async function pictures() {
    for (const camera of cameras) {
        const old = camera.querySelector(".picture");
        if (!old || camera.dataset.state !== "live" || document.hidden) continue;
        await new Promise((done) => {
            const next = new Image();
            next.className = "picture";
            next.alt = `${camera.id}, enhanced`;
            next.onload = () => { old.replaceWith(next); done(); };
            next.onerror = done;
            next.src = `/camera/${camera.id}.jpg?t=${Date.now()}`;
        });
    }
    setTimeout(pictures, 1000);
}

if (cameras.length > 0) {
    states();
    pictures();
}
