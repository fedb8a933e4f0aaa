// The token leaves the address bar before the explorer, which is large, begins to load.
import { showSignIn, takeTokenFromAddress, token } from "./token.js";

takeTokenFromAddress();
if (!token()) {
  showSignIn("The API answers with a token only.");
}
import("./explorer.js");
