// Shows a camera's pictures by WHEP, in the place of single ones. Where that does not work, those just go on.
"use strict";
const PATIENCE = 12000; // milliseconds to the first picture
const AGAIN = 15000;
const TRIES = 3; // in a row

const pause = (time) => new Promise((done) => setTimeout(done, time));
const late = async () => { await pause(PATIENCE); throw new Error("no picture in time"); };

async function show(figure, single) {
    // No server elsewhere is asked for addresses.
    const peer = new RTCPeerConnection();
    const video = document.createElement("video");
    video.muted = video.playsInline = true;
    video.setAttribute("aria-label", single.alt);
    const source = single.src;
    let session, end;
    const ended = new Promise((done) => { end = done; });
    peer.onconnectionstatechange = async () => {
        if (peer.connectionState === "disconnected") await pause(3000);
        if (["disconnected", "failed", "closed"].includes(peer.connectionState)) end();
    };
    // At once: a page that is left runs nothing more.
    const leave = () => {
        if (session) fetch(session, { method: "DELETE", keepalive: true }).catch(() => {});
        session = null;
        peer.close();
        end();
    };
    addEventListener("pagehide", leave);
    try {
        const { receiver } = peer.addTransceiver("video", { direction: "recvonly" });
        // Each picture as soon as it can be shown.
        if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
        const playing = new Promise((done) => { video.onplaying = done; });
        peer.ontrack = (event) => {
            video.srcObject = new MediaStream([event.track]);
            // By itself it would begin only where it is seen.
            video.play().catch(() => {});
        };
        await peer.setLocalDescription();
        const answer = await fetch(figure.dataset.whep, {
            method: "POST",
            headers: { "Content-Type": "application/sdp" },
            body: peer.localDescription.sdp,
            signal: AbortSignal.timeout(PATIENCE),
        });
        if (answer.status !== 201) throw new Error(answer.statusText);
        session = answer.headers.get("Location");
        await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
        const gone = ended.then(() => { throw new Error("it has ended"); });
        await Promise.race([playing, gone, late()]);
        single.replaceWith(video);
        single.removeAttribute("src");
        await ended;
    } finally {
        removeEventListener("pagehide", leave);
        leave();
        if (video.isConnected) {
            single.src = source;
            video.replaceWith(single);
        }
    }
}

async function watch(figure) {
    const single = figure.querySelector("img");
    for (let tries = TRIES; tries > 0;) {
        try {
            await show(figure, single);
            tries = TRIES;
        } catch {
            tries -= 1;
        }
        await pause(AGAIN);
    }
}

if (window.RTCPeerConnection) document.querySelectorAll("[data-whep]").forEach(watch);
