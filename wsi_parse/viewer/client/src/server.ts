// Requests to the server that this page came from.

/** What the server, or the lack of it, says about a request that failed. */
export class ServerError extends Error {
  constructor(
    message: string,
    readonly remedy: string,
  ) {
    super(message);
  }
}

/** In the frame of a notebook no cookie arrives: the token stays in the address of the frame, which nobody sees, so that it can be loaded again. */
const token = new URLSearchParams(location.search).get("token");
const headers: HeadersInit = token ? { Authorization: `Bearer ${token}` } : {};

/** Requests under way; a page is at rest when there are none. */
export let pendingRequests = 0;

export async function json<T>(path: string, signal?: AbortSignal): Promise<T> {
  return await answer(path, (response) => response.json() as Promise<T>, signal);
}

/** Bytes, or null where the server says that there is nothing. */
export async function bytes(path: string, signal?: AbortSignal): Promise<ArrayBuffer | null> {
  return await answer(path, async (response) => (isThere(response) ? await response.arrayBuffer() : null), signal, [404]);
}

/** A picture, or null where there is none. */
export async function picture(path: string, signal?: AbortSignal): Promise<ImageBitmap | null> {
  return await answer(path, async (response) => (isThere(response) ? await createImageBitmap(await response.blob()) : null), signal, [404]);
}

function isThere(response: Response): boolean {
  return response.ok && response.status !== 204;
}

/** Ask, and read the answer; a request is under way until it is read. */
async function answer<T>(path: string, read: (response: Response) => Promise<T>, signal?: AbortSignal, allowed: number[] = []): Promise<T> {
  pendingRequests += 1;
  try {
    const response = await asked(path, signal);
    if (!response.ok && !allowed.includes(response.status)) throw await failure(response);
    return await read(response);
  } finally {
    pendingRequests -= 1;
  }
}

async function asked(path: string, signal?: AbortSignal): Promise<Response> {
  try {
    return await fetch(path, { signal, headers, credentials: "same-origin" });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new ServerError("The server does not answer.", "Start `wsi-parse view` again, and open the link that it prints.");
  }
}

async function failure(response: Response): Promise<ServerError> {
  try {
    const said = (await response.json()) as { error: string; remedy: string };
    return new ServerError(said.error, said.remedy);
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    const remedy = response.status === 403 || response.status === 401 ? "Open the link that `wsi-parse view` printed." : "";
    return new ServerError(`The server answers ${response.status}.`, remedy);
  }
}
