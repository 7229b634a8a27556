"use strict";
// Lists jobs and dead letters and keeps them up to date from the server's event stream. Inserts everything as text,
// never as markup, because uploaders choose the file names.

const byId = (id) => document.getElementById(id);
let stream = null;
let watches = new Map();
let olderToken = null;
let isOlderShown = false;
let refreshTimer = null;

async function api(path, options = {}) {
  const answer = await fetch("/_abanico" + path, { credentials: "same-origin", ...options });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(body.message || answer.status + " " + answer.statusText);
    error.status = answer.status;
    throw error;
  }
  if (path.startsWith("/jobs?")) {
    const warning = answer.headers.get("x-abanico-warning");
    byId("warning").textContent = warning || "";
    byId("warning").hidden = !warning;
  }
  return body;
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function show(isSignedIn) {
  byId("login").hidden = isSignedIn;
  byId("signed-in").hidden = !isSignedIn;
  byId("log-out").hidden = !isSignedIn;
}

function jobsPath(token) {
  const query = new URLSearchParams({ maxResults: "20" });
  const status = byId("status").value;
  if (status) query.set("status", status);
  if (token) query.set("nextToken", token);
  return "/jobs?" + query;
}

function outputItem(path, remark) {
  const item = element("li");
  const link = path.startsWith("s3://") ? element("a", path, { href: "/" + path.slice(5).split("/").map(encodeURIComponent).join("/") }) : element("span", path);
  if (link.href) link.addEventListener("click", (event) => openOutput(event, path));
  item.append(link, document.createTextNode(remark));
  return item;
}

function outputs(job) {
  const list = element("ul");
  for (const group of job.outputGroupDetails || []) {
    // The manifest that a player opens comes first; DASH and CMAF groups list no other paths.
    for (const path of group.playlistFilePaths || []) list.append(outputItem(path, ""));
    for (const output of group.outputDetails || []) {
      const video = output.videoDetails || {};
      for (const path of output.outputFilePaths || []) {
        const size = video.widthInPx ? ` (${video.widthInPx}×${video.heightInPx}, ${Math.round((video.averageBitrate || 0) / 1000)} kbit/s)` : "";
        list.append(outputItem(path, size));
      }
    }
  }
  return list;
}

async function openOutput(event, path) {
  event.preventDefault();
  try {
    const { url } = await api("/download?" + new URLSearchParams({ url: path }));
    location.assign(url);
  } catch (error) {
    fail(error);
  }
}

function row(job) {
  const line = element("tr", undefined, { "data-id": job.id });
  const created = new Date(job.createdAt * 1000);
  const name = element("td");
  name.append(element("div", job.id), element("small", created.toLocaleString()));
  const input = ((job.settings || {}).inputs || [])[0] || {};
  const percent = job.status === "COMPLETE" ? 100 : job.jobPercentComplete || 0;
  const progress = element("td");
  progress.append(element("progress", undefined, { max: 100, value: percent, "aria-label": "Progress of job " + job.id }),
    element("div", percent + " %", { class: "percent" }));
  const result = element("td");
  if (job.errorMessage) result.append(element("span", job.errorCode + ": " + job.errorMessage));
  else result.append(outputs(job));
  const warnings = (job.messages || {}).warning || [];
  for (const warning of warnings) result.append(element("div", "Note: " + warning));
  const action = element("td");
  if (job.status === "SUBMITTED" || job.status === "PROGRESSING") {
    const cancel = element("button", "Cancel", { type: "button", "aria-label": "Cancel job " + job.id });
    cancel.addEventListener("click", () => act(() => api("/jobs/" + encodeURIComponent(job.id), { method: "DELETE" })));
    action.append(cancel);
  }
  line.append(name, element("td", input.fileInput || ""), element("td", job.status, { class: job.status }), progress, result, action);
  return line;
}

function watch(jobs) {
  // Browsers allow six connections per server. The event stream needs one, and some must stay free for clicks.
  const running = new Set(jobs.filter((job) => job.status === "PROGRESSING").slice(0, 3).map((job) => job.id));
  for (const [id, source] of watches) {
    if (!running.has(id)) {
      source.close();
      watches.delete(id);
    }
  }
  for (const id of running) {
    if (watches.has(id)) continue;
    const source = new EventSource("/_abanico/jobs/" + encodeURIComponent(id) + "/progress");
    source.addEventListener("progress", (event) => {
      const now = JSON.parse(event.data);
      const line = document.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
      if (line) {
        line.querySelector("progress").value = now.jobPercentComplete;
        line.querySelector(".percent").textContent = now.jobPercentComplete + " %";
      }
      if (now.status !== "PROGRESSING") {
        source.close();
        watches.delete(id);
        refreshSoon();
      }
    });
    watches.set(id, source);
  }
}

async function refresh() {
  const [list, dead] = await Promise.all([api(jobsPath()), api("/dead-letters")]);
  byId("jobs").replaceChildren(...list.jobs.map(row));
  byId("no-jobs").hidden = list.jobs.length > 0;
  setOlder(list.nextToken);
  watch(list.jobs);
  byId("dead").replaceChildren(...dead.deadLetters.map(deadLetter));
  byId("no-dead").hidden = dead.deadLetters.length > 0;
  byId("error").textContent = "";
  show(true);
}

function refreshSoon() {
  if (isOlderShown || refreshTimer) return;
  refreshTimer = setTimeout(() => {
    refreshTimer = null;
    refresh().catch(fail);
  }, 300);
}

function setOlder(token) {
  olderToken = token || null;
  byId("more").hidden = !olderToken;
}

function deadLetter(entry) {
  const item = element("li");
  const replay = element("button", "Try again", { type: "button", "aria-label": "Try again: " + entry.key });
  replay.addEventListener("click", () => act(() => api(`/dead-letters/${entry.id}/replay`, { method: "POST" })));
  item.append(element("strong", `s3://${entry.bucket}/${entry.key}`), element("span", `${entry.reason || ""} (attempts: ${entry.attempts})`), replay);
  return item;
}

async function act(work) {
  try {
    await work();
    isOlderShown = false;
    await refresh();
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  if (error.status === 403 || error.status === 400 && !byId("login").hidden) {
    leave();
    return;
  }
  byId("error").textContent = error.message;
}

function leave() {
  if (stream) stream.close();
  stream = null;
  watch([]);
  byId("live").textContent = "";
  byId("jobs").replaceChildren();
  byId("dead").replaceChildren();
  show(false);
}

function listen() {
  if (stream) return;
  stream = new EventSource("/_abanico/events");
  stream.addEventListener("open", () => { byId("live").textContent = "live"; });
  stream.addEventListener("job", refreshSoon);
  stream.addEventListener("error", () => { byId("live").textContent = "disconnected, reconnecting"; });
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("login-error").textContent = "";
  try {
    const secretAccessKey = byId("secret").value;
    await api("/login", { method: "POST", body: JSON.stringify({ secretAccessKey }) });
    byId("secret").value = "";
    await refresh();
    listen();
  } catch (error) {
    byId("login-error").textContent = error.message;
  }
});
byId("log-out").addEventListener("click", () => api("/logout", { method: "POST" }).finally(leave));
byId("status").addEventListener("change", () => act(async () => {}));
byId("more").addEventListener("click", async () => {
  try {
    const list = await api(jobsPath(olderToken));
    isOlderShown = true;
    byId("jobs").append(...list.jobs.map(row));
    setOlder(list.nextToken);
  } catch (error) {
    fail(error);
  }
});

refresh().then(listen).catch(fail);
