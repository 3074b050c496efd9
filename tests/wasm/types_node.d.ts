// Of @types/node, what the types of the middleware name.
declare module 'node:http' {
  export class IncomingMessage { url?: string; method?: string; }
  export class ServerResponse { end(text?: string): this; }
}
