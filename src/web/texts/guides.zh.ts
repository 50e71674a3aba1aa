/** 客户端配置指南里的文字，由英文译成中文；docs/zh/clients 里用的是同样的句子。品牌名和命令保持原样。 */

const TEXTS: Readonly<Record<string, string>> = {
  "Add the mirror to Docker's configuration.": "把镜像代理加入 Docker 的配置。",
  "Reload Docker; running containers aren't affected. `docker info` then lists the mirror under Registry Mirrors.":
    "让 Docker 重新加载配置，运行中的容器不受影响。之后 `docker info` 会在 Registry Mirrors 下列出镜像代理。",
  "Pull from other registries through the mirror's name.": "从其他仓库拉取时，在镜像名前加上镜像代理的地址。",
  "dockerd uses its mirror for docker.io only. For other registries, put the mirror's name in front of the image's name.":
    "dockerd 只有在拉取 docker.io 的镜像时才使用镜像代理。其他仓库要在镜像名前加上镜像代理的地址。",
  "An endpoint with a path must contain `/v2`.": "带路径的端点必须包含 `/v2`。",
  "This relies on docker.io being the mirror's default upstream, which it is unless DEFAULT_UPSTREAM names another.":
    "前提是镜像代理的默认上游是 docker.io；除非 DEFAULT_UPSTREAM 另有设置，否则就是。",
  "If dockerd is started with `--registry-mirror` (`systemctl cat docker` shows it), change that option instead: if both are set, dockerd doesn't start.":
    "如果 dockerd 启动时带有 `--registry-mirror`（可用 `systemctl cat docker` 查看），请改那个选项：两处同时设置时，dockerd 无法启动。",
  "New installations of Docker 29 and later use the containerd image store. `registry-mirrors` works with it too; a hosts.toml for each registry also covers registries other than docker.io (see Docker with the containerd image store).":
    "新安装的 Docker 29 及更高版本使用 containerd 镜像存储。`registry-mirrors` 对它同样有效；给每个仓库配一个 hosts.toml，还能覆盖 docker.io 以外的仓库（见“Docker 与 containerd 镜像存储”）。",
  "dockerd doesn't send logins to a mirror, so the key is part of the URL: protect the file like a password.":
    "dockerd 不会把登录信息发给镜像代理，所以密钥是 URL 的一部分：请像保护密码一样保护这个文件。",
  "A mirror URL with a path requires Docker 24.0.8 or later; older versions reject it.":
    "镜像代理的 URL 带有路径时，需要 Docker 24.0.8 或更高版本；更早的版本会拒绝它。",
  "Log in with the mirror's key, which is read from the file `portolan.key`. The user name can be anything.":
    "用镜像代理的密钥登录，密钥从文件 `portolan.key` 读取，用户名随意。",
  "Docker with the containerd image store": "Docker 与 containerd 镜像存储",
  "Enable the containerd image store. New installations of Docker 29 and later enable it by default. While it is enabled, images in the other store are hidden and have to be pulled again.":
    "启用 containerd 镜像存储。新安装的 Docker 29 及更高版本默认启用。启用之后，另一个存储里的镜像不可见，需要重新拉取。",
  "Configure a mirror for each registry.": "为每个仓库配置镜像代理。",
  "The same for the next registry.": "下一个仓库同理。",
  "Restart Docker.": "重启 Docker。",
  "When the mirror fails, containerd silently falls back to the registry itself.":
    "镜像代理出错时，containerd 会直接回退到原仓库，而且没有任何提示。",
  "If a registry's hosts.toml names several hosts, dockerd doesn't use `registry-mirrors` for that registry.":
    "如果某个仓库的 hosts.toml 里有多个 host，dockerd 就不会对它使用 `registry-mirrors`。",
  'With containerd 2.3 or later, add `"referrers"` to `capabilities` so that lists of signatures and attestations are mirrored too. Older versions ignore a file that contains it, and use the registry.':
    '使用 containerd 2.3 或更高版本时，在 `capabilities` 里加上 `"referrers"`，签名和证明（attestation）的列表也会经过镜像代理。更早的版本会忽略包含它的文件，改用原仓库。',
  "This requires Docker 28 or later. `docker info` shows `driver-type: io.containerd.snapshotter.v1` when the store is in use.":
    "需要 Docker 28 或更高版本。使用这种存储时，`docker info` 会显示 `driver-type: io.containerd.snapshotter.v1`。",
  'Tell containerd which folder contains the registry configuration; name one folder only. If config.toml already exists, keep its `version` and add only `config_path`, in that version\'s table: `[plugins."io.containerd.grpc.v1.cri".registry]` for version 2, which containerd 2 reads as well, and `[plugins."io.containerd.cri.v1.images".registry]` for later versions.':
    '设置仓库配置所在的目录，只能写一个目录。如果 config.toml 已经存在，保留它的 `version`，只在该版本对应的表里加上 `config_path`：version 2（containerd 2 也能读取）是 `[plugins."io.containerd.grpc.v1.cri".registry]`，更高的版本是 `[plugins."io.containerd.cri.v1.images".registry]`。',
  "Configure the mirror. The file is read on every pull.": "配置镜像代理。每次拉取都会读取这个文件。",
  "Restart containerd (only changes to `config.toml` need it), and pull as Kubernetes does.":
    "重启 containerd（只有修改了 `config.toml` 才需要），然后像 Kubernetes 那样拉取。",
  "This file applies to every registry without a hosts.toml of its own. For a registry that the mirror doesn't serve, it returns 404, and containerd then uses the registry directly.":
    "这个文件适用于所有没有单独 hosts.toml 的仓库。对于镜像代理不提供的仓库，它返回 404，containerd 会直接使用原仓库。",
  "containerd's CRI plugin doesn't start if `config_path` is combined with `registry.mirrors` or with TLS settings in `registry.configs`: move those into a hosts.toml for each registry.":
    "`config_path` 不能与 `registry.mirrors` 或 `registry.configs` 里的 TLS 设置同时使用，否则 containerd 的 CRI 插件无法启动：请把这些设置移到各个仓库的 hosts.toml 里。",
  'A config.toml with `disabled_plugins = ["cri"]` comes from Docker: that containerd doesn\'t serve Kubernetes, so configure Docker instead.':
    '带有 `disabled_plugins = ["cri"]` 的 config.toml 来自 Docker：这个 containerd 不为 Kubernetes 服务，请改为配置 Docker。',
  "`ctr` doesn't read this configuration: `ctr images pull --hosts-dir /etc/containerd/certs.d …`.":
    "`ctr` 不读取这份配置：`ctr images pull --hosts-dir /etc/containerd/certs.d …`。",
  "Write this on every node, servers and agents alike.": "在每个节点上写入下面的内容，server 和 agent 都要。",
  "Restart the service on each node; on agents it has a different name.":
    "重启每个节点上的服务；agent 上的服务名称不同。",
  "Check the result, and pull.": "检查结果，然后拉取。",
  "`*` stands for every registry that has no entry of its own.": "`*` 代表所有没有单独条目的仓库。",
  "When the mirror fails, containerd falls back to the registry itself. `--disable-default-registry-endpoint` prevents that.":
    "镜像代理出错时，containerd 会回退到原仓库。用 `--disable-default-registry-endpoint` 可以禁止回退。",
  "With the containerd runtime: minikube copies everything below `~/.minikube/files` into each node it creates.":
    "使用 containerd 运行时：minikube 会把 `~/.minikube/files` 下的所有文件复制到它创建的每个节点。",
  "Create the cluster. Files and options apply when a node is created, so delete an existing cluster first.":
    "创建集群。文件和选项在创建节点时才会应用，所以要先删除已有的集群。",
  "With the docker runtime instead, which supports docker.io only:":
    "改用 docker 运行时（只支持 docker.io）：",
  "Run a pod, and check that its image appears in the mirror's log.":
    "运行一个 Pod，确认它的镜像出现在镜像代理的日志里。",
  "`--image-repository` with a path on the mirror fails: it also looks there for `k8s-minikube/storage-provisioner`, which is on gcr.io and not on registry.k8s.io.":
    "把 `--image-repository` 设为镜像代理上的路径行不通：minikube 还会在那里查找 `k8s-minikube/storage-provisioner`，而它在 gcr.io，不在 registry.k8s.io。",
  "With the docker runtime, a key can only be part of the mirror's host name, because `--registry-mirror` takes no path: give the mirror a DOMAIN, or use containerd.":
    "使用 docker 运行时，密钥只能写在镜像代理的主机名里，因为 `--registry-mirror` 不接受路径：请给镜像代理设置 DOMAIN，或改用 containerd。",
  "Inside a container, 127.0.0.1 is the container itself. Let the mirror listen on Docker's bridge, which containers can reach and other machines can't. (With Docker Desktop, leave the mirror on loopback and use `host.docker.internal` instead of 172.17.0.1.)":
    "在容器里，127.0.0.1 是容器自己。让镜像代理监听 Docker 网桥的地址：容器可以访问，其他机器不能。（使用 Docker Desktop 时，让镜像代理继续监听环回地址，并用 `host.docker.internal` 代替 172.17.0.1。）",
  "podman, buildah and skopeo": "podman、buildah 和 skopeo",
  "Configure a mirror for each registry. The file is read on every pull.":
    "为每个仓库配置镜像代理。每次拉取都会读取这个文件。",
  "Pull as usual, with the registry's own name.": "照常使用原来的镜像名拉取。",
  "No entry can cover all registries at once: each needs its own.":
    "没有哪一条能一次覆盖所有仓库：每个仓库都要单独配置。",
  "When the mirror can't serve a manifest, the registry itself is used. A layer that breaks off midway isn't retried elsewhere.":
    "镜像代理无法提供清单时，会改用原仓库。中途断开的层不会换到别处重试。",
  "A user's own `~/.config/containers/registries.conf` replaces the system-wide files entirely.":
    "用户自己的 `~/.config/containers/registries.conf` 会完全取代系统级的文件。",
  "Store the mirror's key for them; `podman login` would write the same.":
    "保存镜像代理的密钥；`podman login` 写入的内容与此相同。",
  "Configure the mirror. The file is read on every pull, so nothing has to be restarted.":
    "配置镜像代理。每次拉取都会读取这个文件，无需重启任何服务。",
  "Pull as usual.": "照常拉取。",
  "Rootless nerdctl reads `~/.config/containerd/certs.d` instead. `hosts_dir` in nerdctl.toml or `--hosts-dir` sets another folder.":
    "rootless 的 nerdctl 读取的是 `~/.config/containerd/certs.d`。在 nerdctl.toml 里用 `hosts_dir`，或用 `--hosts-dir`，可以指定其他目录。",
  "The rewritten reference": "用完整名称拉取",
  "Put the mirror and the registry before the image's name.": "在镜像名前加上镜像代理和仓库。",
  "The same in a Dockerfile, a Compose file, a Kubernetes manifest or a Helm value: wherever an image's name is written. Other tools:":
    "Dockerfile、Compose 文件、Kubernetes 的 YAML、Helm 的 values 里也一样：凡是写镜像名的地方都可以。其他工具：",
  "When the mirror fails, there is no fallback to the registry, and the image keeps the mirror's name on the client.":
    "镜像代理出错时不会回退到原仓库，而且镜像在客户端上会一直带着镜像代理的地址。",
  "Official images on docker.io don't need `library/`.": "docker.io 的官方镜像可以省略 `library/`。",
  "These are the registries that most images come from. To configure others that the mirror serves, list them with `--upstream`, as in `--upstream docker.io,nvcr.io`.":
    "这里列出的是最常用的仓库。要配置镜像代理提供的其他仓库，请用 `npm run portolan -- config` 生成，并以 `--upstream docker.io,nvcr.io` 的形式列出。",
  "Write the mirrors into a file.": "把镜像代理写入一个文件。",
  "Create the cluster with it. An existing cluster doesn't pick it up.":
    "用它创建集群。已有的集群不会读取它。",
  "Configure the mirror in a folder on this machine.": "在本机的一个目录里配置镜像代理。",
  "Describe a cluster whose nodes mount that folder. Every node needs the `extraMounts`.":
    "描述一个集群，让节点挂载该目录。每个节点都需要 `extraMounts`。",
  "Create the cluster.": "创建集群。",
  'Node images older than kind 0.27 don\'t read `/etc/containerd/certs.d` by default. For those, add a `containerdConfigPatches` to kind-portolan.yaml that sets `config_path = "/etc/containerd/certs.d"` under `[plugins."io.containerd.grpc.v1.cri".registry]`.':
    '早于 kind 0.27 的节点镜像默认不读取 `/etc/containerd/certs.d`。使用这些镜像时，在 kind-portolan.yaml 里加上 `containerdConfigPatches`，在 `[plugins."io.containerd.grpc.v1.cri".registry]` 下设置 `config_path = "/etc/containerd/certs.d"`。',
  "The node image itself, `kindest/node`, is pulled by the Docker that kind runs on: configure that one too.":
    "节点镜像 `kindest/node` 由运行 kind 的 Docker 拉取：那里的 Docker 也要配置。",
  "Configure a mirror for each registry, on every node.": "在每个节点上，为每个仓库配置镜像代理。",
  "Reload CRI-O and pull as Kubernetes would.": "让 CRI-O 重新加载配置，然后像 Kubernetes 那样拉取。",
  "Write the mirror's key into an authentication file.": "把镜像代理的密钥写入认证文件。",
  "Point CRI-O to that file. If `global_auth_file` is already set, add the login to the file it names instead.":
    "让 CRI-O 使用该文件。如果已经设置了 `global_auth_file`，请把登录信息加到它所指的文件里。",
  "Create a builder with it. If you run `buildkitd` yourself, it reads the file at that path by default.":
    "用它创建构建器。如果自己运行 `buildkitd`，它默认读取该路径下的文件。",
  "Build.": "构建。",
  "The builder built into dockerd, used without `buildx create`, doesn't read buildkitd.toml; it uses dockerd's `registry-mirrors`, for docker.io only.":
    "dockerd 内置的构建器（没有执行 `buildx create` 时使用）不读取 buildkitd.toml，而是使用 dockerd 的 `registry-mirrors`，只对 docker.io 有效。",
  "GitHub Actions with buildx": "GitHub Actions（buildx）",
  "Configure the builder's mirrors in the workflow.": "在工作流里配置构建器的镜像代理。",
  "Add the mirror's key to the repository's secrets as `PORTOLAN_KEY` (Settings, Secrets and variables, Actions).":
    "把镜像代理的密钥添加到代码仓库的 secrets，名称为 `PORTOLAN_KEY`（Settings → Secrets and variables → Actions）。",
  "GitHub-hosted runners can't reach a mirror on your machine: use a deployed mirror, or a self-hosted runner on that machine.":
    "GitHub 托管的 runner 访问不到你机器上的镜像代理：请使用已部署的镜像代理，或在那台机器上自建 runner。",
  "Map each registry to its mirror.": "为每个仓库指定对应的镜像代理。",
  "Mount the mirror's key as kaniko's credentials; in Kubernetes, use a secret of type `kubernetes.io/dockerconfigjson`.":
    "把镜像代理的密钥挂载为 kaniko 的凭据；在 Kubernetes 里，使用类型为 `kubernetes.io/dockerconfigjson` 的 secret。",
  "kaniko accepts only paths whose first component has no dot, so upstreams are written with hyphens.":
    "kaniko 只接受第一级不含点号的路径，所以上游名里的点号写成连字符。",
  "kaniko's name for docker.io is `index.docker.io`. When the mirror fails, kaniko falls back to the registry itself; `--skip-default-registry-fallback` prevents that.":
    "kaniko 把 docker.io 称为 `index.docker.io`。镜像代理出错时，kaniko 会回退到原仓库；用 `--skip-default-registry-fallback` 可以禁止回退。",
  "GitLab CI with Docker in Docker": "GitLab CI（Docker in Docker）",
  "Configure the service's mirror in the pipeline.": "在流水线里为 service 配置镜像代理。",
  "Or for all jobs of your own runner, in its configuration.":
    "或者在自己的 runner 的配置里，对所有作业生效。",
  "Put the URL into a masked CI/CD variable, and use the variable instead.":
    "把 URL 放进已隐藏（masked）的 CI/CD 变量，在这里引用该变量。",
  "The job's own image is pulled by the runner, not by the service: configure the Docker or containerd that the runner uses too.":
    "作业自己的镜像由 runner 拉取，不经过 service：runner 所用的 Docker 或 containerd 也要配置。",
  "Inside a container, 127.0.0.1 is the container itself: run the mirror on an address that is reachable from there.":
    "在容器里，127.0.0.1 是容器自己：请让镜像代理监听容器访问得到的地址。",
  "Talos 1.12 and later: write the mirrors into a patch.": "Talos 1.12 及更高版本：把镜像代理写入补丁。",
  "Talos before 1.12: write this patch instead.": "Talos 1.12 之前的版本：改用这个补丁。",
  "Apply it to the nodes. Nothing is restarted.": "把补丁应用到节点，不会重启任何服务。",
  "Pull as Kubernetes would.": "像 Kubernetes 那样拉取。",
  "When the mirror fails, nodes fall back to the registry itself; `skipFallback: true` prevents that.":
    "镜像代理出错时，节点会回退到原仓库；用 `skipFallback: true` 可以禁止回退。",
  "Apply the same patch to the installer's configuration (`talosctl gen config --config-patch`), so that a new node pulls through the mirror from its first image on.":
    "对安装配置也应用同样的补丁（`talosctl gen config --config-patch`），这样新节点从第一个镜像起就经过镜像代理。",
  "Add this to the nodes' user data.": "把下面的内容加入节点的 user data。",
  "On a running node, from its control container:": "对于运行中的节点，在它的控制容器里执行：",
  "When the mirror fails, nodes fall back to the registry itself.": "镜像代理出错时，节点会回退到原仓库。",
  "Anyone who may describe the instance can read its user data; Bottlerocket recommends setting credentials with `apiclient` from a bootstrap container.":
    "有权查看实例的人都能读到 user data；Bottlerocket 建议在 bootstrap 容器里用 `apiclient` 设置凭据。",
  "Write the mirrors into a runtime configuration file.": "把镜像代理写入运行时配置文件。",
  "Update the cluster with it. GKE recreates its nodes, within your maintenance windows.":
    "用它更新集群。GKE 会在你的维护窗口内重建节点。",
  "GKE's documentation says which versions and node images support `registryHosts` (customize containerd configuration). If yours don't, a privileged DaemonSet that writes `hosts.toml` on the nodes does the same; see containerd.":
    "哪些版本和节点镜像支持 `registryHosts`，见 GKE 文档（自定义 containerd 配置）。如果不支持，用特权 DaemonSet 在节点上写入 `hosts.toml` 也可以，见 containerd。",
  "By default, popular Docker Hub images come from Google's mirror.gcr.io; with an entry for docker.io they come through your mirror.":
    "Docker Hub 的热门镜像默认来自 Google 的 mirror.gcr.io；配置了 docker.io 之后，它们会经过你的镜像代理。",
  "Add this to the user data of the nodes' launch template (with Karpenter: `userData` of the EC2NodeClass). EKS merges it with its own.":
    "把下面的内容加入节点启动模板的 user data（使用 Karpenter 时是 EC2NodeClass 的 `userData`）。EKS 会把它与自己的内容合并。",
  "Replace the nodes one by one, and check one of them.": "逐个替换节点，并检查其中一个。",
  "This is for Amazon Linux 2023. For Bottlerocket nodes, see Bottlerocket.":
    "以上适用于 Amazon Linux 2023。Bottlerocket 节点见 Bottlerocket。",
  "The NodeConfig is for nodes with containerd 2, which finds no hosts.toml if `config_path` names two folders, as it does in Amazon Linux. Leave it out for nodes with containerd 1.7: `kubectl get nodes -o wide` shows the version.":
    "NodeConfig 用于 containerd 2 的节点：Amazon Linux 的 `config_path` 有两个目录，这时 containerd 2 找不到 hosts.toml。containerd 1.7 的节点不需要它，版本可用 `kubectl get nodes -o wide` 查看。",
  "Amazon's own images, from `….dkr.ecr.….amazonaws.com`, aren't mirrored.":
    "Amazon 自己的镜像（来自 `….dkr.ecr.….amazonaws.com`）不经过镜像代理。",
  "Anyone who may describe the launch template or the instance can read the user data.":
    "有权查看启动模板或实例的人都能读到 user data。",
  "nginx in front of the mirror": "nginx（在镜像代理前面）",
  "Get a certificate for all the host names. If you have none, create one with a private CA; clients have to trust its `ca.pem`.":
    "准备覆盖所有主机名的证书。没有的话，用自建 CA 签发一份，客户端需要信任它的 `ca.pem`。",
  "One server for each upstream, and one for the mirror itself.": "每个上游一个 server，镜像代理自己一个。",
  "One server for all the host names. The mirror sees which name a client uses, and so which registry it means.":
    "所有主机名共用一个 server。镜像代理能看到客户端使用的主机名，由此知道是哪个仓库。",
  "Check the configuration and load it.": "检查配置并重新加载。",
  "Make the host names resolve to this machine, in DNS or in each client's `/etc/hosts`, and try one.":
    "通过 DNS 或每个客户端的 `/etc/hosts`，让这些主机名解析到这台机器，然后试一下。",
  "Start the mirror with that domain, so that it accepts the host names.":
    "启动镜像代理时设置这个域名，让它接受这些主机名。",
  "In the guides for other clients, use these names: `https://` and the server's name for the mirror, and the same domain.":
    "在其他客户端的说明里使用这些名称：镜像代理的地址是 `https://` 加上 server 的名称，域名相同。",
  "If the mirror requires access keys, pass one to this guide (`--key-file`) for nginx to add: a client's own login would bypass nginx and go to the mirror's own host name.":
    "如果镜像代理需要访问密钥，把密钥传给这份指南（`--key-file`），由 nginx 添加：客户端自己登录的话会绕过 nginx，直接访问镜像代理的主机名。",
  "nginx adds the mirror's key, so anyone who can reach nginx can pull: restrict access to it.":
    "nginx 会加上镜像代理的密钥，所以能访问 nginx 的人都能拉取：请限制对它的访问。",
  "Harbor proxying from the mirror": "Harbor（以镜像代理为上游）",
  "Pull through Harbor, with the project's name in the reference.":
    "通过 Harbor 拉取，镜像名里要带上项目名。",
  "In Harbor's web interface instead: Administration, Registries, New Endpoint, provider Docker Registry; then Projects, New Project, Proxy Cache, with that endpoint.":
    "也可以在 Harbor 的网页界面操作：系统管理 → 仓库管理 → 新建目标，提供者选 Docker Registry；然后项目 → 新建项目 → 镜像代理，选择该目标。",
  "The provider is Docker Registry for docker.io too, so official images need `library/` in their names.":
    "docker.io 的提供者也是 Docker Registry，所以官方镜像的名称里要写 `library/`。",
  "Nexus proxying from the mirror": "Nexus（以镜像代理为上游）",
  "Make it.": "创建它。",
  "In Nexus's web interface instead: Repositories, Create repository, docker (proxy), with the URL as Remote storage and Use proxy registry as Docker index.":
    "也可以在 Nexus 的网页界面操作：Repositories → Create repository → docker (proxy)，Remote storage 填这个 URL，Docker index 选 Use proxy registry。",
  "A docker (group) repository combines several of them at one address. Clients need a connector: a port, a subdomain or path-based routing.":
    "docker (group) 仓库可以把其中几个合并到一个地址。客户端需要连接器：端口、子域名或基于路径的路由。",
  "registry:2 in proxy mode, before the mirror": "registry:2 代理模式（在镜像代理前面）",
  "In Debian's package the program is called `docker-registry`; in the image `registry:2`, the file is `/etc/docker/registry/config.yml`, and 127.0.0.1 is the container itself.":
    "Debian 软件包里的程序名是 `docker-registry`；在镜像 `registry:2` 里，配置文件是 `/etc/docker/registry/config.yml`，127.0.0.1 是容器自己。",
  "It keeps what it pulls for a week unless `proxy.ttl` is set. While the mirror fails, it serves what it has stored.":
    "除非设置了 `proxy.ttl`，拉取的内容会保留一周。镜像代理出错时，它提供自己缓存的内容。",
  "The key is part of `remoteurl`, because the registry sends no login to a URL with a path: protect the files like a password.":
    "密钥是 `remoteurl` 的一部分，因为 registry 不会向带路径的 URL 发送登录信息：请像保护密码一样保护这些文件。",
  "registry:2 in proxy mode, behind the mirror": "registry:2 代理模式（在镜像代理后面）",
  "Start the mirror with them as its upstreams. A second URL after a comma is a fallback, used for digests when the first one fails.":
    "启动镜像代理，以它们为上游。逗号后的第二个 URL 是回退端点，第一个出错时用于按摘要拉取。",
  "This is for a mirror on one machine. A deployed one reaches public addresses only, so give the registries TLS and set `UPSTREAMS` (docs/upstreams.md).":
    "以上适用于单机运行的镜像代理。已部署的镜像代理只能访问公网地址，所以要给这些 registry 配上 TLS，并设置 `UPSTREAMS`（docs/upstreams.md）。",
  "Any registry in proxy mode works, such as an existing Harbor or Nexus: its base URL is the upstream's endpoint.":
    "任何代理模式的仓库都可以，例如已有的 Harbor 或 Nexus：它的根 URL 就是上游的端点。",
  "Pull through the mirror's name; `llama3.2:1b` is an example.":
    "用镜像代理的名称拉取，以 `llama3.2:1b` 为例。",
  "Give the model its short name, which other programs use. No data is copied.":
    "给模型起回短名称，供其他程序使用。不会复制数据。",
  "Run it.": "运行它。",
  "This works only for models in Ollama's own library: the name of a user's model would have one component more than Ollama accepts. With a DOMAIN (`--domain`), the mirror has a host name for Ollama's registry, and users' models can be pulled too.":
    "这只适用于 Ollama 官方库里的模型：用户模型的名称会比 Ollama 允许的多一级。设置 DOMAIN（`--domain`）后，镜像代理有专门对应 Ollama 仓库的主机名，用户的模型也能拉取。",
  "Ollama has no mirror setting, so `ollama run` alone fetches a missing model from Ollama's own registry.":
    "Ollama 没有镜像设置，所以直接 `ollama run` 会从 Ollama 官方仓库下载缺少的模型。",
  "Ollama sends no login and accepts no path, so a key can only be part of the mirror's host name: give the mirror a DOMAIN, and pass `--domain` to this guide.":
    "Ollama 不发送登录信息，也不接受路径，密钥只能放在镜像代理的主机名里：请给镜像代理设置 DOMAIN，并在这份指南里加上 `--domain`。",
  "Ollama sends no login, so the key is part of the host name, and of the model's name until you copy the model and remove the original (`ollama rm`).":
    "Ollama 不发送登录信息，所以密钥是主机名的一部分，也是模型名的一部分，直到你复制模型并删除原来的（`ollama rm`）。",
  "Trivy, Helm, Flux, OpenTofu, dev containers and Homebrew":
    "Trivy、Helm、Flux、OpenTofu、dev containers 与 Homebrew",
  "Trivy: its databases and checks.": "Trivy：漏洞库与检查规则。",
  "Helm: charts, on the command line and as dependencies (`repository: oci://…` in Chart.yaml).":
    "Helm：chart，包括命令行和依赖（Chart.yaml 里的 `repository: oci://…`）。",
  "Flux: an OCIRepository. A HelmRepository of type `oci` takes the same kind of `url`.":
    "Flux：OCIRepository。类型为 `oci` 的 HelmRepository 使用同样形式的 `url`。",
  "OpenTofu: providers published in an OCI registry, in the CLI configuration.":
    "OpenTofu：发布在 OCI 仓库里的 provider，写在 CLI 配置里。",
  "OpenTofu: modules, in the configuration that uses them.": "OpenTofu：module，写在使用它们的配置里。",
  "Dev containers: image and features.": "Dev containers：镜像与 feature。",
  "Homebrew: bottles, through environment variables.": "Homebrew：bottle，通过环境变量。",
  "When the mirror fails, only Homebrew falls back to the registry. What was pulled before is served even while the registry is down.":
    "镜像代理出错时，只有 Homebrew 会回退到原仓库。仓库故障期间，以前拉取过的内容仍然可用。",
  "Homebrew requests sources and casks from the mirror too, doesn't find them there, and downloads them from their original location.":
    "Homebrew 也会向镜像代理请求源码和 cask，找不到时从原来的地址下载。",
  "Trivy, OpenTofu, dev containers and Helm use the credentials of `docker login`, Flux those of its secret, and Homebrew those of its environment variable.":
    "Trivy、OpenTofu、dev containers 和 Helm 使用 `docker login` 的凭据，Flux 使用它的 secret，Homebrew 使用环境变量。",
};

/** 含有地址或密钥的句子。 */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/^A certificate for (\S+) covers (\S+) too\.$/, "$1 的证书也覆盖 $2。"],
  [
    /^The node image and the preloaded Kubernetes images aren't pulled by the runtime: (`\S+`) and (`\S+`) make them come through the mirror too\.$/,
    "节点镜像和预加载的 Kubernetes 镜像不由运行时拉取：$1 和 $2 可以让它们也经过镜像代理。",
  ],
  [
    /^The mirror has no TLS: Docker needs (`[^`]+`) in daemon\.json, podman (`[^`]+`), crane (`[^`]+`), helm and oras (`[^`]+`)\.$/,
    "镜像代理没有启用 TLS：Docker 需要在 daemon.json 里加上 $1，podman 需要 $2，crane 需要 $3，helm 和 oras 需要 $4。",
  ],
  [
    /^k3d's own images are pulled by Docker, not by the cluster\. (`\S+`) comes from docker\.io, for which Docker can use a mirror; the others come from ghcr\.io, for which it can't\. To pull those through the mirror, set (`\S+`) and (`\S+`) in the environment of (`k3d`), with k3d's own version\.$/,
    "k3d 自己的镜像由 Docker 拉取，不由集群拉取。$1 来自 docker.io，Docker 可以使用镜像代理；其余来自 ghcr.io，Docker 不能使用镜像代理。要让它们也经过镜像代理，在 $4 的环境变量里设置 $2 和 $3，版本与 k3d 一致。",
  ],
  [/^A user's model keeps its user: (`[^`]+`)\.$/, "用户的模型要保留用户名：$1。"],
  [
    /^The mirror has no TLS: Trivy needs (`\S+`) and (`\S+`), Helm (`\S+`), Flux (`[^`]+`), Docker (`[^`]+`)\. OpenTofu and dev containers require TLS\.$/,
    "镜像代理没有启用 TLS：Trivy 需要 $1 和 $2，Helm 需要 $3，Flux 需要 $4，Docker 需要 $5。OpenTofu 和 dev containers 必须有 TLS。",
  ],
  [
    /^Create it, look up its id, and create a project named (`\S+`) for it\.$/,
    "创建它，查出它的 id，再为它创建名为 $1 的项目。",
  ],
  [/^An endpoint for (\S+)\.$/, "$1 的目标。"],
  [/^A repository for (\S+)\.$/, "$1 的仓库。"],
  [
    /^A registry on (\S+) that fetches (\S+) through the mirror\.$/,
    "监听 $1、经镜像代理获取 $2 的 registry。",
  ],
  [/^A registry on (\S+) that proxies (\S+)\.$/, "监听 $1、代理 $2 的 registry。"],
  [
    /^The mirror is itself below (\S+), so these host names are the mirror's own or would make nginx connect to itself: give nginx another domain \((`\S+`)\)\.$/,
    "镜像代理自己就在 $1 之下，这些主机名要么属于镜像代理，要么会让 nginx 连接自己：请给 nginx 另一个域名（$2）。",
  ],
  [/^(\S+) stands for your own domain \((`\S+`)\)\.$/, "$1 代表你自己的域名（$2）。"],
  [
    /^With a private CA, clients need (`\S+`): Docker as (`\S+`), containerd through (`[^`]+`) in hosts\.toml, podman and CRI-O as (`\S+`), all programs on a machine through (`\S+`)\.$/,
    "使用自建 CA 时，客户端需要 $1：Docker 放在 $2，containerd 在 hosts.toml 里写 $3，podman 和 CRI-O 放在 $4；要让一台机器上的所有程序都信任它，用 $5。",
  ],
];

/** 没有译文时返回 null。 */
export function guideTextZh(text: string): string | null {
  const found = Object.hasOwn(TEXTS, text) ? TEXTS[text] : undefined;
  if (found !== undefined) return found;
  const pattern = PATTERNS.find(([form]) => form.test(text));
  return pattern ? text.replace(...pattern) : null;
}
