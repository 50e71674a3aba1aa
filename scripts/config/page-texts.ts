/** What the pages of docs/clients and docs/zh/clients say around the guides. */
import { guideTextZh } from "../../src/web/texts/guides.zh.ts";

export interface PageTexts {
  /** A guide's text in the page's language. @throws Error if there is none. */
  of(text: string): string;
  /** A guide's title, which may be a name that is the same in every language. */
  title(title: string): string;
  /** What follows a page's title: where its other language is, and that it is made. */
  top(file: string): string;
  /** Between the command and what it prints. */
  says: string;
  path(path: string): string;
  notes: string;
  partly: { heading: string; introduction: string };
  keyed: { heading: string; introduction: string };
  local: { heading: string; introduction: string };
  end: string;
  yes: string;
  no: string;
  /** Between names. */
  comma: string;
  /** @param table its rows, without the head. */
  index(top: string, table: string): string;
}

const MADE = "<!-- Made by `npm run docs` from src/guides. Change it there. -->";

export const ENGLISH: PageTexts = {
  of: (text) => text,
  title: (title) => title,
  top: (file) => `${MADE}\n\n[中文](../zh/clients/${file})`,
  says: "says:",
  path: (path) => `\`${path}\`:`,
  notes: "Notes",
  partly: {
    heading: "Only some registries",
    introduction: "With `--upstream docker.io,ghcr.io` and `--shape path` these steps differ:",
  },
  keyed: {
    heading: "With an access key",
    introduction: "With `--key-file` these steps differ. The key here is an example:",
  },
  local: {
    heading: "A mirror on this machine",
    introduction: "For `http://127.0.0.1:8787`, as `npm start` has it, these steps differ:",
  },
  end: "All clients",
  yes: "yes",
  no: "no",
  comma: ", ",
  index: (top, table) => `# Setting up clients

${top}

Each page shows what a client's configuration is for an example mirror. For yours, with its address filled in:

\`\`\`sh
npm run portolan -- config containerd-2 --mirror https://mirror.example.com
\`\`\`

\`--write\` puts it into the client's files: it shows the difference, asks, inserts what is missing and keeps a copy of what was
there. The rest of a file stays as it is, with its comments, order, owner and mode. A change that would stop the client from
working, or alter what else the file says, is refused with what to do instead. \`--domain\` is for a mirror with [host routing](../deploy.md#host-routing), \`--key-file\` for one with access keys,
\`--upstream\` for some registries only. \`npm run portolan -- config --help\` explains them all.

From nothing to a running pod: [Kubernetes with containerd](../tutorials/kubernetes-containerd.md),
[k3d](../tutorials/k3d.md), [minikube](../tutorials/minikube.md).

| client | name | \`--write\` |
|---|---|---|
${table}

When something doesn't work, see [troubleshooting](../troubleshooting.md).
`,
};

export const CHINESE: PageTexts = {
  of: (text) => {
    const translated = guideTextZh(text);
    if (translated === null) throw new Error(`no Chinese for: ${text}`);
    return translated;
  },
  title: (title) => guideTextZh(title) ?? title,
  top: (file) => `${MADE}\n\n[English](../../clients/${file})`,
  says: "输出：",
  path: (path) => `\`${path}\`：`,
  notes: "说明",
  partly: {
    heading: "只代理部分仓库",
    introduction: "加上 `--upstream docker.io,ghcr.io` 和 `--shape path` 时，下面这些步骤不同：",
  },
  keyed: {
    heading: "使用访问密钥",
    introduction: "加上 `--key-file` 时，下面这些步骤不同。这里的密钥只是示例：",
  },
  local: {
    heading: "镜像代理在本机时",
    introduction: "镜像代理的地址是 `http://127.0.0.1:8787`（`npm start` 的默认地址）时，下面这些步骤不同：",
  },
  end: "全部客户端",
  yes: "支持",
  no: "不支持",
  comma: "、",
  index: (top, table) => `# 配置客户端

${top}

每个页面以一个示例镜像代理为例，给出某种客户端的配置。要输出填好你自己地址的版本：

\`\`\`sh
npm run portolan -- config containerd-2 --mirror https://mirror.example.com
\`\`\`

加上 \`--write\` 会直接写入客户端的配置文件：先显示差异并询问，只插入缺少的内容，并保留原文件的副本。文件的其余部分（包括注释、顺序、属主和权限）保持不变。
如果改动会让客户端无法工作，或者会改变文件里的其他设置，就拒绝执行，并说明应该怎么做。\`--domain\` 用于启用了[主机名路由](../deploy.md#主机名路由)的镜像代理，
\`--key-file\` 用于需要访问密钥的镜像代理，\`--upstream\` 只配置部分仓库。全部选项见 \`npm run portolan -- config --help\`。

从零开始直到 Pod 运行起来：[Kubernetes 与 containerd](../tutorials/kubernetes-containerd.md)、[k3d](../tutorials/k3d.md)、
[minikube](../tutorials/minikube.md)。

| 客户端 | 名称 | \`--write\` |
|---|---|---|
${table}

遇到问题时，见[故障排查](../troubleshooting.md)。
`,
};
