// Opens the viewer's program in the frame. It wants whole addresses, which only the browser knows (proxies, names of this machine).
const frame = document.getElementById("viewer");
const state = JSON.parse(frame.dataset.state);
for (const layer of state.layers) layer.source = location.origin + layer.source;
frame.src = frame.dataset.client + "#!" + encodeURIComponent(JSON.stringify(state));
