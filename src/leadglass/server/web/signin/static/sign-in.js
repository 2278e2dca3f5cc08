// What sign-in needs a script for: the token in a link's fragment, and passkeys. Passwords work without.
"use strict";

// A fragment is not sent to servers and stands in no log; it goes out of the address at once.
const token = document.querySelector("[data-fragment]");
if (token && location.hash.length > 1) {
  token.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
}

const supported = window.PublicKeyCredential && PublicKeyCredential.parseCreationOptionsFromJSON;

async function post(path, document_) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(document_),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${said.error} ${said.remedy}`);
  return said;
}

function complain(button, text) {
  let alert = button.previousElementSibling;
  if (!alert || alert.getAttribute("role") !== "alert") {
    alert = document.createElement("p");
    alert.className = "alert danger";
    alert.setAttribute("role", "alert");
    button.before(alert);
  }
  alert.textContent = text;
}

// An authenticator that is dismissed, or has no key for us, throws too: that is said in plain words.
async function attempt(button, ceremony) {
  button.disabled = true;
  try {
    location.assign((await ceremony()).next);
  } catch (error) {
    complain(button, error instanceof DOMException ? "No passkey was used." : error.message);
    button.disabled = false;
  }
}

for (const button of supported ? document.querySelectorAll("[data-passkey]") : []) {
  button.hidden = false;
  button.addEventListener("click", () =>
    attempt(button, async () => {
      const options = PublicKeyCredential.parseRequestOptionsFromJSON(await post("/sign-in/passkey/options", {}));
      const credential = await navigator.credentials.get({ publicKey: options });
      return post(button.dataset.passkey, { ...credential.toJSON(), next: button.dataset.next });
    }),
  );
}

for (const button of supported ? document.querySelectorAll("[data-new-passkey]") : []) {
  button.hidden = false;
  document.querySelector("[data-no-passkey]").hidden = true;
  button.addEventListener("click", () =>
    attempt(button, async () => {
      const options = PublicKeyCredential.parseCreationOptionsFromJSON(await post("/setup/passkey/options", {}));
      const credential = await navigator.credentials.create({ publicKey: options });
      return post(button.dataset.newPasskey, credential.toJSON());
    }),
  );
}
