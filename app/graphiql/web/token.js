// The token lives in this browser tab only: never in localStorage, never in the address bar.
const KEY = "servicebook-token";

export const token = () => sessionStorage.getItem(KEY);
export const authorization = () => (token() ? { authorization: `Bearer ${token()}` } : {});

export function takeTokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) {
    return false;
  }
  history.replaceState(null, "", location.pathname + location.search);
  sessionStorage.setItem(KEY, given.trim());
  return true;
}

export function showSignIn(reason) {
  document.getElementById("sign-in-reason").textContent = reason;
  document.getElementById("sign-in").hidden = false;
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
  location.reload();
}

// A new token starts afresh, so that nothing of the previous caller stays in memory.
document.getElementById("sign-in").addEventListener("submit", (submission) => {
  submission.preventDefault();
  sessionStorage.setItem(KEY, document.getElementById("token").value.trim());
  location.reload();
});
addEventListener("hashchange", () => takeTokenFromAddress() && location.reload());
