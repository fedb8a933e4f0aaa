// Sends frames over WebSocket, case by case, and prints how the server closed each connection.
import WebSocket from "ws";

const [url, token] = process.argv.slice(2);
const cases = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (data) => (text += data));
  process.stdin.on("end", () => resolve(text));
}));
const address = url.replace(/^http/, "ws");

function closed({ frames = [], protocol = "graphql-transport-ws", headers = {} }) {
  return new Promise((resolve) => {
    const socket = new WebSocket(address, protocol, { headers });
    const got = [];
    const timer = setTimeout(() => {
      socket.terminate();
      resolve({ code: "timeout", got });
    }, 8000);
    const end = (code) => {
      clearTimeout(timer);
      resolve({ code, got });
    };
    socket.on("open", () => frames.forEach((frame) => socket.send(frame.replaceAll("TOKEN", token))));
    socket.on("message", (text) => got.push(String(text)));
    socket.on("close", end);
    socket.on("unexpected-response", (_, response) => end(`http ${response.statusCode}`));
    socket.on("error", () => {});
  });
}

console.log(JSON.stringify(await Promise.all(cases.map(closed))));
