/** What the routes of pages share: the document around the content, and errors as pages. */
import type { Context, MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import type { Child } from "hono/jsx";
import { RegistryError } from "../oci/errors.ts";
import { VERSION } from "./assets.js";
import { ErrorView } from "./error-page.tsx";
import { type Current, Page } from "./layout.tsx";
import { pageResponse } from "./respond.ts";
import { type SiteConfig, type Visit, visitOf } from "./site.ts";

interface PageOptions {
  /** Of the response, 200 unless something went wrong. */
  status?: number;
  title?: string | null;
  current?: Current;
  /** Of an error; what pages need of them is sent. */
  headers?: Readonly<Record<string, string>>;
}

export interface PageKit {
  config: SiteConfig;
  respond: (c: Context, visit: Visit, content: Child, options?: PageOptions) => Promise<Response>;
  /** What the pages show depends on who looks, so that nothing keeps it; and errors are pages too. */
  page: MiddlewareHandler;
}

export function pageKit(config: SiteConfig): PageKit {
  const respond: PageKit["respond"] = (c, visit, content, options = {}) => {
    const { status = 200, title = null, current = null, headers = {} } = options;
    for (const name of ["Retry-After", "Allow"])
      if (headers[name] !== undefined) c.header(name, headers[name]);
    const document = (
      <Page visit={visit} config={config} title={title} current={current} version={VERSION}>
        {content}
      </Page>
    );
    return pageResponse(c, document, status as 200);
  };
  const page = createMiddleware(async (c, next) => {
    await next();
    if (c.error instanceof RegistryError) {
      const visit = visitOf(c, config);
      c.res = await respond(c, visit, <ErrorView visit={visit} error={c.error} />, c.error);
    }
    c.res.headers.set("Cache-Control", "no-store");
  });
  return { config, respond, page };
}
