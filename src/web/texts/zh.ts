/** 页面的中文文字，与 en.ts 一一对应，缺一条就无法通过编译。 */
import type { Texts } from "./en.ts";

export const zh: Texts = {
  language: "zh-CN",
  title: "Portolan 容器镜像代理",
  skip: "跳到正文",
  menu: {
    label: "页面",
    start: "开始",
    search: "搜索",
    status: "状态",
    language: "语言",
    light: "浅色主题",
    dark: "深色主题",
  },
  copy: "复制",
  copied: "已复制",
  start: {
    what: (owner) =>
      owner === null
        ? "私有的容器镜像加速与缓存代理。每个镜像只从上游拉取一次，按摘要校验，之后都由这里提供。"
        : `${owner} 的容器镜像加速与缓存代理。每个镜像只从上游拉取一次，按摘要校验，之后都由这里提供。`,
    tryIt: "在镜像名前加上本站地址即可：",
    open: "能访问到它的人都可以拉取。",
    keyed: "拉取需要访问密钥，密钥由站长发放。",
    closed: "目前处于关闭状态：还没有访问密钥。站长可用 `npm run portolan -- key add NAME` 创建第一个。",
    contact: "联系方式",
  },
  convert: {
    heading: "通过本站拉取镜像",
    lead: "粘贴手头的内容即可：镜像名、Docker Hub 或其他仓库的网页地址、docker 命令、Dockerfile、compose 文件、Kubernetes 清单文件或 Helm values。内容只在浏览器里解析，不会发送到任何地方。",
    label: "要拉取的镜像",
    examples: "示例",
    example: { name: "镜像名", command: "命令", compose: "compose 文件", dockerfile: "Dockerfile" },
    none: "没有在这段文字里找到镜像。",
    tooLong: "内容太长了。",
    found: (count) => `${count} 个镜像`,
    from: "镜像",
    to: "本站地址",
    inspect: "查看镜像",
    notServed: "本站不代理这个仓库",
    already: "已经指向本站",
    whole: "替换后的完整内容",
    noScript: "这一部分需要 JavaScript。手动的办法：在镜像名前加上本站地址和仓库名。",
  },
  key: {
    label: "你的访问密钥",
    hint: "只在浏览器里填入本页的命令和配置，不会发送出去。",
    invalid: "密钥由 32 个字符组成，只含 a–z 和 2–7。",
  },
  clients: {
    heading: "配置客户端",
    lead: "配置好镜像代理之后，照常用原来的镜像名拉取即可。",
    label: "客户端",
    show: "显示",
    file: "文件",
    notes: "说明",
    originalLanguage: "这个客户端的说明目前只有英文。",
  },
  footer: {
    not: "本站不是镜像仓库，与所代理的仓库没有任何关系。镜像归各自的发布者所有。",
    software: "由 Portolan 提供",
  },
};
