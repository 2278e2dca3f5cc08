// Sends DICOM files to STOW-RS (PS3.18 10.5) a batch at a time, and says how it goes.
"use strict";

const BATCH_BYTES = 32 * 1024 * 1024;
const BATCH_FILES = 64;
const SHOWN_PROBLEMS = 100;
const FAILED_SOP_SEQUENCE = "00081198";
const REFERENCED_SOP_SEQUENCE = "00081199";
const REFERENCED_SOP_INSTANCE_UID = "00081155";
const FAILURE_REASON = "00081197";
// PS3.18 Table 10.5.3-1 and PS3.4 Table B.2-1.
const REASONS = new Map([
  [0x0110, "the archive could not store it"],
  [0x0122, "this kind of object is not stored here"],
  [0x0124, "you may not store it"],
  [0xa700, "the archive has no space left"],
  [0xa900, "it does not fit its own description"],
  [0xc000, "it cannot be understood"],
  [0xc122, "its transfer syntax is not known"],
  [0xc311, "another image with the same UID is here already"],
]);

const byId = (id) => document.getElementById(id);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

class Upload {
  constructor() {
    this.total = 0;
    this.settled = 0;
    this.stored = 0;
    this.refused = 0;
    this.skipped = 0;
    this.stopped = false;
    this.request = null;
  }

  async run(files) {
    for (const file of files) this.total += file.size;
    let batch = [];
    let bytes = 0;
    for (const file of files) {
      if (this.stopped) break;
      if (!(await isDicom(file))) {
        this.skipped += 1;
        this.settled += file.size;
        continue;
      }
      if (batch.length && (bytes + file.size > BATCH_BYTES || batch.length === BATCH_FILES)) {
        await this.send(batch);
        [batch, bytes] = [[], 0];
      }
      batch.push(file);
      bytes += file.size;
    }
    if (batch.length && !this.stopped) await this.send(batch);
    this.show(0);
    this.finish();
  }

  stop() {
    this.stopped = true;
    this.request?.abort();
  }

  async send(batch) {
    const boundary = `leadglass-${crypto.randomUUID()}`;
    const parts = batch.flatMap((file) => [`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`, file, "\r\n"]);
    const body = new Blob([...parts, `--${boundary}--\r\n`]);
    const answer = await this.post(body, boundary);
    this.settled += batch.reduce((sum, file) => sum + file.size, 0);
    this.judge(answer, batch);
    this.show(0);
  }

  // Not fetch(): it cannot say how much of a body has gone out.
  post(body, boundary) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      this.request = request;
      request.open("POST", "/dicom-web/studies");
      request.setRequestHeader("Accept", "application/dicom+json");
      request.setRequestHeader("Content-Type", `multipart/related; type="application/dicom"; boundary=${boundary}`);
      request.upload.addEventListener("progress", (event) => this.show(event.loaded));
      request.addEventListener("loadend", () => resolve(request));
      request.send(body);
    });
  }

  judge(answer, batch) {
    if (answer.status === 401) {
      location.assign("/sign-in?next=/upload");
      return;
    }
    let said = null;
    try {
      said = JSON.parse(answer.responseText);
    } catch {
      said = {};
    }
    const stored = said[REFERENCED_SOP_SEQUENCE]?.Value ?? [];
    const failed = said[FAILED_SOP_SEQUENCE]?.Value ?? [];
    this.stored += stored.length;
    this.refused += batch.length - stored.length;
    for (const each of failed) {
      const reason = each[FAILURE_REASON]?.Value?.[0] ?? 0;
      const hexadecimal = reason.toString(16).toUpperCase().padStart(4, "0");
      this.tell(`${each[REFERENCED_SOP_INSTANCE_UID]?.Value?.[0] ?? "An object"}: ${REASONS.get(reason) ?? "refused"} (${hexadecimal}H)`);
    }
    if (stored.length + failed.length === 0 && !this.stopped) {
      const words = [said.error, said.remedy].filter(Boolean).join(" ");
      this.tell(`${batch.length} files: ${words || "the archive did not answer"}`);
    }
  }

  tell(problem) {
    const list = byId("problem-list");
    byId("problems").hidden = false;
    if (list.childElementCount >= SHOWN_PROBLEMS) return;
    const item = document.createElement("li");
    item.textContent = problem;
    list.append(item);
  }

  show(underWay) {
    const done = Math.min(this.settled + underWay, this.total);
    byId("bar").value = this.total ? done / this.total : 1;
    byId("stored").textContent = this.stored;
    byId("refused").textContent = this.refused;
    byId("skipped").textContent = this.skipped;
    byId("sent").textContent = `${megabytes(done)} of ${megabytes(this.total)}`;
  }

  finish() {
    const words = this.stopped ? "Stopped" : this.refused ? "Done, but not all was taken" : "Done";
    byId("progress-words").textContent = words;
    byId("stop").hidden = true;
    byId("done-link").hidden = this.stored === 0;
  }
}

// PS3.10 7.1: 128 bytes of preamble, then DICM. A DICOMDIR has it too, but only names other files.
async function isDicom(file) {
  if (file.name.toUpperCase() === "DICOMDIR" || file.size < 132) return false;
  const mark = new Uint8Array(await file.slice(128, 132).arrayBuffer());
  return String.fromCharCode(...mark) === "DICM";
}

async function filesBelow(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  // A reader gives a folder's entries in portions, an empty one at last.
  for (;;) {
    const portion = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (portion.length === 0) return found;
    for (const each of portion) found.push(...(await filesBelow(each)));
  }
}

async function start(gathering) {
  byId("drop").hidden = true;
  byId("progress").hidden = false;
  const upload = new Upload();
  byId("stop").addEventListener("click", () => upload.stop());
  const files = await gathering;
  byId("progress-words").textContent = `Sending ${files.length} ${files.length === 1 ? "file" : "files"}`;
  await upload.run(files);
}

const drop = byId("drop");
for (const input of [byId("files"), byId("folder")]) {
  input.addEventListener("change", () => input.files.length && start(Promise.resolve([...input.files])));
}
for (const [name, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over-it", over);
  });
}
drop.addEventListener("drop", (event) => {
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const gathering = Promise.all(entries.map(filesBelow)).then((lists) => lists.flat());
  if (entries.length) start(gathering);
});
