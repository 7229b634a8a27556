"use strict";
// Lists jobs and dead letters and keeps them up to date from the server's event stream. Inserts everything as text,
// never as markup, because uploaders choose the file names.
//
// The session's cookie is not enough for the server: each request also carries the session's token, which only this
// page has. The tab keeps it for as long as it is open.

const byId = (id) => document.getElementById(id);
let stream = null;
let watches = new Map();
let olderToken = null;
let isOlderShown = false;
let refreshTimer = null;

const TOKEN = "abanico-console-token";
const token = () => sessionStorage.getItem(TOKEN);

async function request(path, { headers = {}, ...options } = {}) {
  const ours = { "X-Abanico-Console": token() || "login", ...headers };
  const answer = await fetch("/_abanico" + path, { credentials: "same-origin", cache: "no-store", headers: ours, ...options });
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    const error = new Error(body.message || answer.status + " " + answer.statusText);
    error.status = answer.status;
    throw error;
  }
  if (path.startsWith("/jobs?")) {
    const warning = answer.headers.get("x-abanico-warning");
    byId("warning").textContent = warning || "";
    byId("warning").hidden = !warning;
  }
  return answer;
}

const api = async (path, options) => (await request(path, options)).json();

// Reads server-sent events as EventSource does, which cannot send the token. Reconnects until it is closed.
class Events {
  constructor(path, listeners) {
    this.path = path;
    this.listeners = listeners;
    this.stop = new AbortController();
    this.run();
  }

  close() {
    this.stop.abort();
  }

  async run() {
    while (!this.stop.signal.aborted) {
      try {
        const headers = this.lastId === undefined ? {} : { "Last-Event-ID": this.lastId };
        const answer = await request(this.path, { headers, signal: this.stop.signal });
        this.tell("open");
        await this.read(answer.body.pipeThrough(new TextDecoderStream()).getReader());
      } catch (error) {
        if (this.stop.signal.aborted) return;
        if (error.status === 403) {
          leave();
          return;
        }
      }
      if (this.stop.signal.aborted) return;
      this.tell("error");
      await new Promise((resolve) => setTimeout(resolve, 3000));
    }
  }

  async read(reader) {
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      events.forEach((event) => this.take(event));
    }
  }

  take(event) {
    let [name, data] = ["message", []];
    for (const line of event.split("\n")) {
      const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (field === "event") name = value;
      if (field === "id") this.lastId = value;
      if (field === "data") data.push(value);
    }
    if (data.length > 0) this.tell(name, data.join("\n"));
  }

  tell(name, data) {
    if (!this.stop.signal.aborted && this.listeners[name]) this.listeners[name](data);
  }
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

function jobsPath(page) {
  const query = new URLSearchParams({ maxResults: "20" });
  const status = byId("status").value;
  if (status) query.set("status", status);
  if (page) query.set("nextToken", page);
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
  const progress = element("td");
  // How far a job came that failed or was cancelled is not known: a bar at 0 % would be wrong.
  if (!["ERROR", "CANCELED"].includes(job.status)) {
    const percent = job.status === "COMPLETE" ? 100 : job.jobPercentComplete || 0;
    progress.append(element("progress", undefined, { max: 100, value: percent, "aria-label": "Progress of job " + job.id }),
      element("div", percent + " %", { class: "percent" }));
  }
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
  const status = element("td");
  status.append(element("span", job.status, { class: job.status }));
  const source = element("td");
  source.append(element("span", input.fileInput || ""));
  const cells = { Job: name, Input: source, Status: status, Progress: progress, Result: result, Action: action };
  // Where the table is a list of cards, each cell shows the name of its column.
  for (const [title, cell] of Object.entries(cells)) cell.setAttribute("data-name", title);
  line.append(...Object.values(cells));
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
    const source = new Events("/jobs/" + encodeURIComponent(id) + "/progress", { progress: (data) => {
      const now = JSON.parse(data);
      const line = document.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
      // The row of a job that has just failed has no bar any more.
      if (line && line.querySelector("progress")) {
        line.querySelector("progress").value = now.jobPercentComplete;
        line.querySelector(".percent").textContent = now.jobPercentComplete + " %";
      }
      if (now.status !== "PROGRESSING") {
        source.close();
        watches.delete(id);
        refreshSoon();
      }
    } });
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

function setOlder(page) {
  olderToken = page || null;
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
  if (error.status === 403) {
    leave();
    return;
  }
  byId("error").textContent = error.message;
}

function leave() {
  sessionStorage.removeItem(TOKEN);
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
  stream = new Events("/events", {
    open: () => { byId("live").textContent = "live"; },
    job: refreshSoon,
    error: () => { byId("live").textContent = "disconnected, reconnecting"; },
  });
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("login-error").textContent = "";
  try {
    const secretAccessKey = byId("secret").value;
    const opened = await api("/login", { method: "POST", body: JSON.stringify({ secretAccessKey }) });
    sessionStorage.setItem(TOKEN, opened.token);
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

if (token()) refresh().then(listen).catch(fail);
else leave();
